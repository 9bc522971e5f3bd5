"""Servers that answer 429 beyond a limit, and batches of calls at them, in fake time.

``run_batch`` drives the policy of many calls at once: their effects are events of one clock, without threads or sleeps.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._policy.call_state import CallFailed, CallState
from unified_llm._policy.effects import Abandon, Open, Sleep, Wait
from unified_llm._policy.failover import run_policy
from unified_llm._policy.health import Health
from unified_llm._policy.rate_limits import RateLimits
from unified_llm._policy.trace import Trace
from unified_llm.types import LLMResponse, Usage

Kind: TypeAlias = Literal["fixed", "sliding", "bucket", "strict"]
"""So many within each minute of the clock, within any minute, from a bucket that fills evenly, or evenly spread."""


@dataclass
class LimitedServer:
    """A server with a limit.

    Attributes:
        kind: How the limit works.
        per_minute: The limit.
        tells: A refusal has Retry-After.
        headers: Every response says what is left.
        counts: What the limit counts, as the headers name it; where they are tokens, all requests take the same.
        latency: Seconds until a response; a refusal takes a tenth of a second at most.
        tokens: Tokens that each response used.
    """

    kind: Kind = "sliding"
    per_minute: int = 60
    tells: bool = True
    headers: bool = False
    counts: str = "requests"
    latency: float = 0.5
    tokens: int = 10
    accepted: list[float] = field(default_factory=list[float])
    refused: list[float] = field(default_factory=list[float])
    _filled: float = 0.0
    _at: float | None = None

    @property
    def received(self) -> list[float]:
        """The instants of all requests."""
        return sorted([*self.accepted, *self.refused])

    def respond(self, now: float) -> Done | Failure:
        """Respond to a request that arrives now."""
        ok, left, reset, retry = self._fill(now) if self.kind in {"bucket", "strict"} else self._count(now)
        (self.accepted if ok else self.refused).append(now)
        headers: dict[str, str] = {}
        if self.headers:
            headers = {
                f"x-ratelimit-remaining-{self.counts}": str(left * (1 if self.counts == "requests" else self.tokens)),
                f"x-ratelimit-reset-{self.counts}": f"{reset:.3f}s",
            }
        if ok:
            usage = Usage(prompt_tokens=self.tokens, total_tokens=self.tokens)
            return Done(LLMResponse(content="Yes.", usage=usage), headers=headers)
        if self.tells:
            headers["retry-after"] = f"{retry:.2f}"
        return Failure("rate_limit", 429, headers=headers)

    def _count(self, now: float) -> tuple[bool, int, float, float]:
        begins = now // 60 * 60 if self.kind == "fixed" else now - 60
        within = [at for at in self.accepted[-self.per_minute :] if at >= begins if at > now - 60]
        ok = len(within) < self.per_minute
        first = within[0] if within else now
        reset = begins + 60 - now if self.kind == "fixed" else first + 60 - now
        return ok, self.per_minute - len(within) - ok, reset, reset

    def _fill(self, now: float) -> tuple[bool, int, float, float]:
        size, rate = (self.per_minute if self.kind == "bucket" else 1), self.per_minute / 60
        self._filled = size if self._at is None else min(size, self._filled + (now - self._at) * rate)
        self._at = now
        ok = self._filled >= 1 - 1e-9
        self._filled -= ok
        return ok, int(self._filled), (size - self._filled) / rate, max(0.0, 1 - self._filled) / rate


@dataclass
class Batch:
    """What became of a batch.

    Attributes:
        results: The result of each call, by its position.
        seconds: Seconds that it took.
        states: The calls.
    """

    results: list[Done | CallFailed]
    seconds: float
    states: list[CallState]

    @property
    def served(self) -> int:
        """Return how many calls were answered."""
        return sum(isinstance(result, Done) for result in self.results)


class _Running:
    """The calls of a batch in progress."""

    def __init__(self, servers: Mapping[str, LimitedServer], make: Callable[[Callable[[], float]], CallState]) -> None:
        self.clock = 0.0
        self.states: dict[int, CallState] = {}
        self.results: dict[int, Done | CallFailed] = {}
        self._servers, self._make = servers, make
        self._policies: dict[int, Generator[Any, Any, Done | CallFailed]] = {}
        self._events: list[tuple[float, int, int, Any]] = []
        self._numbers = count()
        self._responses: dict[tuple[int, int], tuple[float, Done | Failure]] = {}

    def begin(self, position: int) -> None:
        self.states[position] = self._make(lambda: self.clock)
        self._policies[position] = run_policy(self.states[position])
        self._plan(self.clock, position, None)

    def run(self, prompts: int) -> None:
        while self._events:
            self.clock, _, position, value = heapq.heappop(self._events)
            try:
                self._advance(position, value)
            except StopIteration as end:
                self.results[position] = end.value
                if len(self.states) < prompts:
                    self.begin(len(self.states))

    def _plan(self, at: float, position: int, value: Any) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), position, value))

    def _advance(self, position: int, value: Any) -> None:
        while True:
            effect = self._policies[position].send(value)
            value = None
            match effect:
                case Open(attempt, target):
                    server = self._servers[target.name]
                    response = server.respond(self.clock)
                    latency = server.latency if isinstance(response, Done) else min(0.1, server.latency)
                    self._responses[position, attempt] = self.clock + latency, response
                case Wait((attempt, *_)):
                    at, response = self._responses.pop((position, attempt))
                    self._plan(at, position, (attempt, response))
                    return
                case Sleep(until):
                    self._plan(until, position, None)
                    return
                case _:
                    assert isinstance(effect, Abandon)


def run_batch(
    servers: Mapping[str, LimitedServer],
    targets: Sequence[Target],
    prompts: int,
    *,
    concurrency: int = 20,
    start: float = 1000.0,
    **fields: Any,
) -> Batch:
    """Make so many calls, at most ``concurrency`` at once, the first ones at an instant of the clock.

    Args:
        servers: The server of each target, by its name.
        targets: The chain.
        prompts: How many calls.
        concurrency: How many at once.
        start: The instant.
        **fields: Fields of ``CallState``, and ``seconds`` until its deadline.
    """
    shared: dict[str, Any] = {"health": Health(), "limits": RateLimits(), "queued": True, **fields}
    seconds = shared.pop("seconds", 600.0)

    def make(now: Callable[[], float]) -> CallState:
        return CallState(
            targets=targets,
            streaming=False,
            deadline=now() + seconds,
            now=now,
            random=lambda: 0.5,
            trace=Trace(),
            **shared,
        )

    running = _Running(servers, make)
    running.clock = start
    for position in range(min(concurrency, prompts)):
        running.begin(position)
    running.run(prompts)
    results = [running.results[position] for position in range(prompts)]
    return Batch(results, running.clock - start, list(running.states.values()))
