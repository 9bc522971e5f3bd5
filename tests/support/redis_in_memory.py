"""Redis in memory, as far as this package uses it, with a clock that a test sets; and processes that share one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from unified_llm._core.target import Target
from unified_llm._policy.cooldowns import CooldownScope
from unified_llm._policy.health import Health
from unified_llm._policy.health_changes import BreakerChange, HealthChange
from unified_llm._policy.health_updates import HealthUpdate
from unified_llm._policy.rate_limits import RateLimits
from unified_llm._policy.target_health import Permit
from unified_llm._state.redis.commands import Store
from unified_llm._state.redis.sync import HealthSync


class ServerError(Exception):
    """An error that the server answers to a command."""


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
Stream: TypeAlias = list[tuple[tuple[int, int], dict[bytes, bytes]]]
LAST_ID = (2**64 - 1, 2**64 - 1)


@dataclass
class MemoryRedis:
    """A Redis server and its client in one.

    Attributes:
        clock: The time of the server, in seconds.
        values: Bytes, or the entries of a stream, by key.
        expires_at: When each key expires; a key that is missing here never does.
        error: Raised by every pipeline, while set.
        unwritable: Keys that cannot be written to.
        round_trips: How often commands were sent.
        commands: How many commands were sent.
        received: Set by every pipeline.
        longest_answer: The most bytes that it can send within the timeout.
    """

    clock: float = 1_000_000.0
    values: dict[str, Any] = field(default_factory=dict)
    expires_at: dict[str, float] = field(default_factory=dict)
    error: Exception | None = None
    unwritable: set[str] = field(default_factory=set)
    round_trips: int = 0
    commands: int = 0
    received: threading.Event = field(default_factory=threading.Event)
    longest_answer: float = float("inf")
    closed: bool = False

    def pipeline(self, *, transaction: bool = True) -> Pipeline:
        return Pipeline(self)

    def set(self, key: str, value: str | bytes, px: int) -> bool:
        (answer,) = Pipeline(self).set(key, value, px=px).execute()
        return bool(answer)

    def unlink(self, *keys: str) -> int:
        (answer,) = Pipeline(self).unlink(*keys).execute()
        return int(answer)

    def xadd(self, key: str, fields: Mapping[bytes, str | bytes], **options: Any) -> bytes:
        (answer,) = Pipeline(self).xadd(key, fields, **options).execute()
        return bytes(answer)

    def close(self) -> None:
        self.closed = True

    def run(self, commands: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        self.round_trips += 1
        self.commands += len(commands)
        self.received.set()
        if self.error:
            raise self.error
        for key in [key for key, end in self.expires_at.items() if end <= self.clock]:
            self.values.pop(key, None)
            del self.expires_at[key]
        answers = [self._run(name, *positional, **named) for name, positional, named in commands]
        streams = [answer for answer in answers if isinstance(answer, list)]
        if sum(map(_size, streams)) > self.longest_answer:
            raise TimeoutError
        return answers

    def _run(self, name: str, *positional: Any, **named: Any) -> Any:
        try:
            return getattr(self, f"_{name}")(*positional, **named)
        except ServerError as error:
            return error

    def _time(self) -> tuple[int, int]:
        return int(self.clock), round(self.clock % 1 * 1e6)

    def _set(self, key: str, value: str | bytes, px: int) -> bool:
        if key in self.unwritable:
            raise ServerError("NOPERM")
        self.values[key] = value.encode() if isinstance(value, str) else value
        self.expires_at[key] = self.clock + px / 1000
        return True

    def _getrange(self, key: str, start: int, end: int) -> bytes:
        value = self.values.get(key, b"")
        if not isinstance(value, bytes):
            raise ServerError(WRONG_TYPE)
        return value[start : end + 1]

    def _pttl(self, key: str) -> int:
        if key not in self.values:
            return -2
        return round((self.expires_at[key] - self.clock) * 1000) if key in self.expires_at else -1

    def _hset(self, key: str, name: str, value: str) -> int:
        self._hgetall(key)
        self.values.setdefault(key, {})[name.encode()] = value.encode()
        return 1

    def _hgetall(self, key: str) -> dict[bytes, bytes]:
        fields = self.values.get(key, {})
        if not isinstance(fields, dict):
            raise ServerError(WRONG_TYPE)
        return dict(cast("dict[bytes, bytes]", fields))

    def _stream(self, key: str) -> Stream:
        stream = self.values.get(key, [])
        if not isinstance(stream, list):
            raise ServerError(WRONG_TYPE)
        return stream

    def _xadd(self, key: str, fields: Mapping[bytes, str | bytes], id: tuple[int, int] | None = None) -> bytes:  # noqa: A002 - what the client calls it
        if key in self.unwritable:
            raise ServerError("NOPERM")
        stream = self._stream(key)
        last = stream[-1][0] if stream else (0, 0)
        if last == LAST_ID:
            raise ServerError("The stream has exhausted the last possible ID, unable to add more items")
        identifier = id or max((int(self.clock * 1000), 0), (last[0], last[1] + 1))
        plain = {name: value.encode() if isinstance(value, str) else value for name, value in fields.items()}
        self.values.setdefault(key, []).append((identifier, plain))
        return b"%d-%d" % identifier

    def _xrange(self, key: str, start: str, *, count: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        milliseconds, number = start.split("-")
        first = (int(milliseconds), int(number))
        entries = [(b"%d-%d" % identifier, fields) for identifier, fields in self._stream(key) if identifier >= first]
        return entries[:count]

    def _xtrim(self, key: str, *, maxlen: int, approximate: bool) -> int:
        stream = self._stream(key)
        self.values[key] = stream[-maxlen:]
        return len(stream) - len(self.values[key])

    def _memory_usage(self, key: str, *, samples: int) -> int | None:
        if key not in self.values:
            return None
        return _size(self._stream(key))

    def _unlink(self, *keys: str) -> int:
        return sum(self.values.pop(key, None) is not None for key in keys)

    def _expire(self, key: str, seconds: int) -> None:
        if key in self.values:
            self.expires_at[key] = self.clock + seconds


def _size(entries: Sequence[tuple[object, Mapping[bytes, bytes] | None]]) -> int:
    return sum(len(value) for _, fields in entries for value in (fields or {}).values())


class Pipeline:
    """Collects commands of any name, and runs them together."""

    def __init__(self, server: MemoryRedis) -> None:
        self._server = server
        self._commands: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Pipeline]:
        def collect(*positional: Any, **named: Any) -> Pipeline:
            self._commands.append((name, positional, named))
            return self

        return collect

    def __len__(self) -> int:
        return len(self._commands)

    def execute(self, *, raise_on_error: bool = True) -> list[Any]:
        answers = self._server.run(self._commands)
        for answer in answers:
            if raise_on_error and isinstance(answer, Exception):
                raise answer
        return answers


def store(server: MemoryRedis) -> Store:
    return Store(cast("Any", server))


class SimulatedProcess:
    """A process: a health registry and its ``HealthSync``, with a clock that is independent of the server's."""

    def __init__(self, server: MemoryRedis, offset: float = 0.0, draw: float = 0.0) -> None:
        self.server, self.offset, self.draw = server, offset, draw
        self.changes: list[tuple[str, str, str]] = []
        self.learned: list[HealthUpdate] = []
        self.woken = 0
        self.health = Health(self._on_change)
        self.health.set_publisher(self)
        self.limits = RateLimits()
        self.limits.share(shared=True)
        self.sync = HealthSync(store(server), self._learn, lambda: self.now, self.limits)

    @property
    def now(self) -> float:
        return self.server.clock - 1_000_000.0 + self.offset

    def _on_change(self, change: HealthChange) -> None:
        if isinstance(change, BreakerChange):
            self.changes.append((change.target, change.before, change.after))

    def wake(self) -> None:
        self.woken += 1

    def publish(self, update: HealthUpdate) -> None:
        self.sync.publish(update)

    def _learn(self, update: HealthUpdate) -> None:
        self.learned.append(update)
        self.health.apply_update(update, self.now, self.draw)

    def record_outcomes(self, target: Target, *, ok: bool, times: int = 1) -> None:
        """Record outcomes of a target, whatever the state of its breaker."""
        for _ in range(times):
            permit = self.health.force(target, self.now)
            self.health.record_outcome(target, permit, ok=ok, weight=1, now=self.now, draw=0.5)
        self.health.ready(target, self.now)

    def trip(self, target: Target) -> None:
        self.record_outcomes(target, ok=False, times=5)
        assert self.state(target) == "open"

    def start_cooldown(
        self, target: Target, scope: CooldownScope, seconds: float, reason: str = "its API key was refused (auth)"
    ) -> None:
        self.health.start_cooldown(target, scope, self.now + seconds, reason, wait=False, now=self.now)

    def state(self, target: Target) -> str | None:
        rows = self.health.snapshot(self.now)
        return next((row["state"] for row in rows if row["target"] == target.name), None)

    def admits(self, target: Target) -> bool:
        return isinstance(self.health.admit(target, self.now), Permit)


def advance(seconds: float, *processes: SimulatedProcess) -> None:
    """Advance the time of all processes, then let each of them poll."""
    processes[0].server.clock += seconds
    for process in processes:
        process.sync.poll()
