"""A second, deliberately naive implementation of breakers, and random scripts that compare the registry with it.

    compare(runs=100, steps=200, seed=7)

The model keeps every event for ever and judges anew at each question, by walking through all of them. It is written
from ``docs/failover.md`` alone:

- A caller is its settings and the seconds that it waits. It counts what it would have seen itself: an answer that came
  within its limit, a timeout after a limit that is not shorter than its own, any other failure.
- Closed: so many failures in a row (a weighted one counts more than once) open the breaker, or half of at least ten of
  the last twenty outcomes within the window.
- Open for the cooldown, doubled for each trip since it was closed, up to the longest; a fifth more or less.
- Then one probe at a time for all callers of the target, until its outcome is known, its permit is lost, or it is
  older than an attempt may be. Its failure opens the breaker again for all who waited for a probe when it was sent.
- A success closes it, whoever sent the request, if it was sent after the breaker opened. No request that was sent
  before a breaker opened or closed changes it afterwards.
- What other processes report is judged by the caller's own settings, too.
- A caller that is new to the target judges by the last 64 events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from unified_llm._core.target import BreakerConfig, Target, Timing
from unified_llm._policy.cooldowns import Refusal
from unified_llm._policy.health import Health
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened
from unified_llm._policy.target_health import Permit

REMEMBERED = 64
SLACK = 10.0


@dataclass
class Caller:
    """One kind of caller.

    Attributes:
        settings: Its thresholds.
        limit: Seconds that it waits.
        first: The number of the first event that it knows; None before it used the target.
    """

    settings: BreakerConfig
    limit: float
    first: int | None = None
    judged: tuple[int, Judgement] | None = None

    def __post_init__(self) -> None:
        timing = Timing(first_token=self.limit, whole=self.limit, fixed=True)
        url = "https://alpha"
        self.target = Target("alpha", "one", "scripted", base_url=url, timing=timing, breaker=self.settings)


@dataclass
class Request:
    """A request in progress: who sent it, after how many events, and when; ``permit`` is the registry's."""

    caller: Caller
    sent_after: int
    sent_at: float
    probe: bool
    permit: Permit | None


@dataclass
class Judgement:
    """What one caller makes of all events so far."""

    until: float | None = None
    row: int = 0
    trips: int = 0


@dataclass
class Model:
    """The naive implementation for one target."""

    events: list[dict[str, Any]] = field(default_factory=list)
    probe: Request | None = None

    def judge(self, caller: Caller) -> Judgement:
        """Return what a caller makes of all events, which changes with the next event."""
        if caller.judged is None or caller.judged[0] != len(self.events):
            caller.judged = len(self.events), self.walk(caller)
        return caller.judged[1]

    def walk(self, caller: Caller) -> Judgement:
        """Walk through all events that the caller knows."""
        now = Judgement()
        changed, counted = 0, list[tuple[float, bool]]()
        for number, event in enumerate(self.events, 1):
            if number <= (caller.first or 0):
                continue
            before = now.until
            if event["kind"] == "closed elsewhere":
                now.until = None
            elif event["kind"] == "opened elsewhere":
                judge_report(caller, now, event)
            elif event["sent_after"] < changed or not would_see(caller, event):
                continue
            elif now.until is not None:
                judge_while_open(caller, now, event)
            else:
                counted = [*counted, *[(event["at"], event["ok"])] * (1 if event["ok"] else event["weight"])]
                now.row = 0 if event["ok"] else now.row + event["weight"]
                share = [ok for at, ok in counted[-20:] if event["at"] - at <= caller.settings.window]
                half = len(share) >= 10 and share.count(False) * 2 >= len(share)
                if not event["ok"] and (now.row >= caller.settings.failures or half):
                    now.trips = 0
                    open_again(caller, now, event)
            if now.until != before:
                changed = number
                if now.until is None:
                    counted, now.row = [], 0
        return now

    def probe_in_progress(self, now: float) -> bool:
        probe = self.probe
        return probe is not None and now < probe.sent_at + probe.caller.limit + SLACK

    def may_ask(self, caller: Caller, now: float) -> bool:
        until = self.judge(caller).until
        return until is None or (now >= until and not self.probe_in_progress(now))


def open_again(caller: Caller, now: Judgement, event: dict[str, Any]) -> None:
    now.trips += 1
    now.until = event["at"] + cooldown(caller.settings, now.trips) * (0.8 + 0.4 * event["draw"])


def judge_while_open(caller: Caller, now: Judgement, event: dict[str, Any]) -> None:
    assert now.until is not None
    if event["ok"]:
        now.until = None
    elif event["probe_at"] is not None and event["probe_at"] >= now.until:
        open_again(caller, now, event)


def judge_report(caller: Caller, now: Judgement, event: dict[str, Any]) -> None:
    """Apply that another process opened its breaker."""
    settings = caller.settings
    if event["limit"] is not None and event["limit"] < caller.limit:
        return
    if now.until is None:
        now.row = max(now.row, event["failures"])
        if event["failures"] < settings.failures:
            return
    seconds = event["until"] - event["opened"]
    enough = [trips for trips in range(1, 11) if cooldown(settings, trips) * 1.2 >= seconds]
    trips = min(enough[0] if enough else 10, event["trips"], 10)
    own = cooldown(settings, trips)
    seconds = sorted((own * 0.8, seconds, own * 1.2))[1]
    until = event["opened"] + seconds * (1 + 0.2 * event["draw"])
    if now.until is None:
        now.until, now.trips = until, trips
    elif until > now.until:
        now.until, now.trips = until, max(now.trips, trips)


def cooldown(settings: BreakerConfig, trips: int) -> float:
    return min(settings.cooldown * 2.0 ** min(trips - 1, 10), settings.cooldown_max)


def would_see(caller: Caller, event: dict[str, Any]) -> bool:
    if event["limit"] is None:
        return True
    return bool(event["limit"] <= caller.limit) if event["ok"] else bool(event["limit"] >= caller.limit)


SETTINGS = [
    BreakerConfig(),
    BreakerConfig(failures=1, cooldown=86_400.0, cooldown_max=86_400.0),
    BreakerConfig(failures=3, window=5.0, cooldown=0.5, cooldown_max=4.0),
    BreakerConfig(failures=1, cooldown=0.001, cooldown_max=0.001),
    BreakerConfig(failures=12, window=1e6, cooldown=30.0),
]
LIMITS = [0.05, 1.0, 30.0, 60.0]


class Script:
    """One random script: the same steps for the registry and the model."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - a seeded script
        self.health, self.model, self.now = Health(), Model(), 1000.0
        kinds = [(settings, limit) for settings in SETTINGS for limit in LIMITS]
        self.callers = [Caller(*kind) for kind in self.random.sample(kinds, self.random.randint(1, 5))]
        self.requests: list[Request] = []
        self.probes_at_once = 0

    def step(self) -> None:
        """Take one random step, then compare."""
        draw = self.random.random()
        if draw < 0.40:
            self.ask(self.random.choice(self.callers), forced=self.random.random() < 0.15)
        elif draw < 0.78 and self.requests:
            self.settle(self.requests.pop(self.random.randrange(len(self.requests))))
        elif draw < 0.80 and self.requests:
            self.lose(self.requests.pop(self.random.randrange(len(self.requests))))
        elif draw < 0.83:
            self.hear()
        elif draw < 0.93:
            self.now += self.random.choice([0.001, 0.3, 5.0, 31.0, 61.0, 400.0])
        elif draw < 0.96:
            self.now -= self.random.choice([0.001, 0.3, 5.0, 61.0])
        else:
            ends = [until for caller in self.callers if (until := self.model.judge(caller).until)]
            self.now = max([self.now, *ends[:1]])
        self.compare([self.random.choice(self.callers)])

    def ask(self, caller: Caller, *, forced: bool) -> None:
        self.meet(caller)
        due, judgement = self.model.may_ask(caller, self.now), self.model.judge(caller)
        if forced:
            answer: Permit | Refusal = self.health.force(caller.target, self.now)
        else:
            answer = self.health.admit(caller.target, self.now)
        assert isinstance(answer, Permit) == (due or forced)
        if isinstance(answer, Refusal):
            assert answer.until == max(self.now, judgement.until or self.now)
            return
        is_probe = due and judgement.until is not None
        assert answer.probe == is_probe
        request = Request(caller, len(self.model.events), self.now, is_probe, answer)
        if is_probe:
            assert not self.model.probe_in_progress(self.now), "two probes at once"
            self.model.probe = request
        self.requests.append(request)

    def settle(self, request: Request) -> None:
        ok = self.random.choice([True, False, False, False, None])
        weight = self.random.choice([0, 1, 1, 2])
        timeout = self.random.random() < 0.4
        limit = request.caller.limit if timeout and not ok else None
        if ok:
            limit = self.random.choice([0.01, 0.5, 20.0, request.caller.limit])
            limit = min(limit, request.caller.limit)
        draw = self.random.random()
        assert request.permit
        self.health.record_outcome(
            request.caller.target, request.permit, ok=ok, weight=weight, limit=limit, now=self.now, draw=draw
        )
        is_probe = self.model.probe is request
        if is_probe:
            self.model.probe = None
        if ok is None or (not ok and not weight):
            return
        self.model.events.append({
            "kind": "outcome", "sent_after": request.sent_after, "at": self.now, "ok": ok, "weight": weight,
            "limit": limit, "probe_at": request.sent_at if is_probe else None, "draw": draw,
        })  # fmt: skip

    def lose(self, request: Request) -> None:
        """Lose a permit, as when a signal's exception comes between its issue and its use."""
        request.permit = None
        if self.model.probe is request:
            self.model.probe = None

    def hear(self) -> None:
        key, draw = self.callers[0].target.health_key, self.random.random()
        if all(caller.first is None for caller in self.callers):
            return  # what a process hears of a target that nobody used is the subject of other tests
        if self.random.random() < 0.3:
            self.health.apply_update(BreakerClosed(key, self.now + 60.0), self.now, draw)
            self.model.events.append({"kind": "closed elsewhere"})
            return
        opened, trips = self.now - self.random.choice([0.0, 1.0]), self.random.randint(1, 12)
        until = opened + self.random.choice([0.5, 24.0, 30.0, 60.0, 300.0, 86_400.0])
        failures, limit = self.random.choice([1, 3, 5, 20]), self.random.choice([None, None, 0.05, 30.0])
        update = BreakerOpened(key, opened, until, "alpha/one", trips, failures, limit)
        self.health.apply_update(update, self.now, draw)
        self.model.events.append({
            "kind": "opened elsewhere", "opened": opened, "until": until, "trips": trips, "failures": failures,
            "limit": limit, "draw": draw,
        })  # fmt: skip

    def meet(self, caller: Caller) -> None:
        """Note from which event on a caller knows the target."""
        if caller.first is None:
            caller.first, caller.judged = max(0, len(self.model.events) - REMEMBERED), None

    def compare(self, callers: list[Caller]) -> None:
        for caller in callers:
            if caller.first is None:
                continue
            judgement = self.model.judge(caller)
            (row,) = self.health.snapshot(self.now, [caller.target])
            until = judgement.until
            state = "closed" if until is None else "open" if self.now < until else "half_open"
            left = 0.0 if until is None else max(0.0, round(until - self.now, 3))
            assert (row["state"], row["consecutive_failures"]) == (state, judgement.row)
            assert abs(row["retry_in"] - left) < 0.002
            assert self.health.ready(caller.target, self.now) == self.model.may_ask(caller, self.now)


def compare(*, runs: int, steps: int, seed: int = 0) -> None:
    """Compare the registry with the model.

    Raises:
        AssertionError: They differ. The message has the seed of the script and the step.
    """
    for run in range(runs):
        script = Script(seed + run)
        for step in range(steps):
            try:
                script.step()
            except AssertionError as difference:
                raise AssertionError(f"script {seed + run}, step {step}: {difference}") from difference
