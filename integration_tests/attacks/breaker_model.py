"""An independent model of the circuit breaker, written from its description, and a comparison with the client."""

from __future__ import annotations

import random

from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import BreakerConfig, LLMClient, LLMConfig, reset_health
from unified_llm._core.outcome import Failure


class Model:
    """When the primary is asked: a list of outcomes since the last change, and an instant of the next probe."""

    def __init__(self, settings: BreakerConfig) -> None:
        self._settings = settings
        self._recent: list[tuple[float, bool]] = []
        self._row = 0
        self._probe_at: float | None = None
        self._cooldown = settings.cooldown

    def asks(self, now: float) -> bool:
        """Return whether a call at this instant asks the primary."""
        return self._probe_at is None or now >= self._probe_at

    def observe(self, now: float, *, ok: bool) -> None:
        """Take the outcome of a request that was sent."""
        settings = self._settings
        if self._probe_at is not None:
            if ok:
                self.__init__(settings)  # type: ignore[misc]
            else:
                self._cooldown = min(settings.cooldown_max, 2 * self._cooldown)
                self._probe_at = now + self._cooldown
            return
        self._row = 0 if ok else self._row + 1
        opens = not ok and self._row >= settings.failures
        self._recent = [*self._recent, (now, ok)][-20:]
        window = [fine for at, fine in self._recent if now - at <= settings.window]
        if opens or (not ok and len(window) >= 10 and 2 * window.count(False) >= len(window)):
            self._recent, self._row = [], 0
            self._cooldown = settings.cooldown
            self._probe_at = now + self._cooldown


def differences(seed: int, steps: int) -> int:
    """Play random outcomes at random instants; return how often the client and the model disagree."""
    draw = random.Random(seed)
    settings = BreakerConfig(
        failures=draw.choice([1, 2, 3, 5, 8]), window=draw.choice([5.0, 60.0]), cooldown=draw.choice([1.0, 30.0]),
        cooldown_max=draw.choice([30.0, 300.0]),
    )  # fmt: skip
    reset_health()
    primary, fallback = "openai-compatible/a", "openai-compatible/b"
    scripts: dict[str, list[object]] = {primary: [], fallback: [say("b")]}
    targets = ScriptedTargets(scripts, latency=0.0)  # type: ignore[arg-type]
    share, model, wrong = draw.choice([0.1, 0.5, 0.9]), Model(settings), 0
    with targets.running():
        config = LLMConfig(model=primary, base_url="http://127.0.0.1:9", api_key="k-a", max_retries=0, breaker=settings)
        other = LLMConfig(model=fallback, base_url="http://127.0.0.1:8", api_key="k-b", max_retries=0)
        client = LLMClient(config, fallbacks=[other])
        for _ in range(steps):
            targets.clock += draw.choice([0.0, 0.1, 1.0, draw.uniform(0, 40), -0.5])
            ok = draw.random() > share
            scripts[primary] = [say("a") if ok else Failure("server", 503)]
            before, now = len(targets.asked), targets.clock
            client.generate("x")
            asked = primary in [name for name, _ in targets.asked[before:]]
            del targets.asked[:]
            wrong += asked != model.asks(now)
            if asked:
                model.observe(now, ok=ok)
    return wrong
