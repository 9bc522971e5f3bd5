"""One fault case: what the first of two targets does, and what must come of it.

A case is played in up to four ways (sync or async, call or stream), each time through the whole stack and over real
sockets: once beside a healthy second target, and where that one answers, once more alone. Whatever happens, no key, no
prompt and no answer may show, and no connection, thread or task may be left behind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from integration_tests.support.fault_responses import SECOND, answer, streamed
from integration_tests.support.fault_server import FaultServer, Send, Step
from tests.test_canary import clean, clean_error
from unified_llm import LLMClient, LLMConfig, health_snapshot, reset_health
from unified_llm._backends.http import Transport
from unified_llm._core.outcome import FailureKind
from unified_llm.exceptions import LLMError, StreamInterruptedError
from unified_llm.types import Attempt, LLMChunk, LLMResponse, Usage

if TYPE_CHECKING:
    import pytest

Shape: TypeAlias = Literal["call", "stream"]
Way: TypeAlias = Literal["sync call", "sync stream", "async call", "async stream"]
WAYS: Final[tuple[Way, ...]] = ("sync call", "sync stream", "async call", "async stream")

KEY: Final = "sk-CANARY-of-the-first"
OTHER_KEY: Final = "sk-CANARY-of-the-second"
PROMPT: Final = "CANARY-prompt: what is failover?"

Place: TypeAlias = Callable[[], AbstractContextManager[str]]
"""Where the first target is, for as long as a call lasts; its URL without a path."""


def serving(
    *scripts: Sequence[Step],
    on_accept: Sequence[Step] = (),
    tls: Callable[[], SSLContext] | None = None,
    host: str = "127.0.0.1",
) -> Place:
    """A server that plays these scripts, one for each request."""

    @contextmanager
    def place() -> Iterator[str]:
        with FaultServer(*scripts, on_accept=on_accept, tls=tls() if tls else None, host=host) as server:
            yield server.url
            assert server.settles_at(0), "a connection was left open"
            for request in server.requests:
                assert request.headers["authorization"] == f"Bearer {KEY}"

    return place


# What can come of a case


@dataclass(frozen=True)
class Fails:
    """Nobody notices while a second target answers; without one, this is raised.

    Attributes:
        kind: The outcome of each attempt.
        error: What is raised.
        times: How many attempts are made, by ``max_retries`` of the case.
        facts: Attributes of the error.
    """

    kind: FailureKind
    error: type[LLMError]
    times: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Raises(Fails):
    """This is raised although a second target could answer: it is not asked."""


@dataclass(frozen=True)
class Breaks:
    """The stream had begun, so it is interrupted, and nobody else is asked."""

    kind: FailureKind
    partial: str


@dataclass(frozen=True)
class Answers:
    """The first target answers.

    Attributes:
        text: The answer.
        calls: Name and arguments of each tool call.
        reason: Why it ended.
        times: How many attempts it takes; all but the last end in ``before``.
        before: The outcome of the attempts that failed.
        usage: Tokens, where the case is about them.
    """

    text: str
    calls: tuple[tuple[str, str], ...] = ()
    reason: str = "stop"
    times: int = 1
    before: FailureKind | None = None
    usage: Usage | None = None


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        number: As in the list of fault cases.
        what: What happens, in words.
        place: The first target.
        outcome: What must come of it.
        shapes: Whether it makes sense for a whole answer, for a stream, or for both.
        config: Fields of the first target's configuration. No retries, unless it says so.
        ask: Fields of each call.
        prompt: What is asked.
        warm: So many calls are made before the one that counts, and must be answered.
        beside: Whether there is a second target; where the first fails over, it is played alone as well.
    """

    number: int
    what: str
    place: Place
    outcome: Fails | Breaks | Answers
    shapes: tuple[Shape, ...] = ("call", "stream")
    config: Mapping[str, Any] = field(default_factory=dict)
    ask: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = PROMPT
    warm: int = 0
    beside: bool = True

    @property
    def ways(self) -> tuple[Way, ...]:
        """In which ways it can be played."""
        return tuple(way for way in WAYS if way.split()[1] in self.shapes)


# Playing


@dataclass
class Told:
    """What a caller learns."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    reason: str | None = None
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()
    error: LLMError | None = None
    chunks: list[LLMChunk] = field(default_factory=list)

    def hear(self, answer: LLMResponse) -> None:
        """Take a whole answer."""
        clean(answer)
        self.text, self.reason, self.usage = answer.content, answer.finish_reason, answer.usage
        self.calls = tuple((call.name, call.raw_arguments) for call in answer.tool_calls)
        self.attempts = answer.attempts

    def joined(self) -> Told:
        """Put the chunks together, if it was a stream that ended well."""
        if not self.chunks or self.error:
            return self
        last, calls = self.chunks[-1], dict[int, tuple[str, str]]()
        for piece in (piece for chunk in self.chunks for piece in chunk.tool_calls):
            name, arguments = calls.get(piece.index, ("", ""))
            calls[piece.index] = (name + (piece.name or ""), arguments + piece.arguments)
        self.text, self.calls = "".join(chunk.content for chunk in self.chunks), tuple(calls.values())
        self.reason, self.usage, self.attempts = last.finish_reason, last.usage, last.attempts
        return self

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Who was asked, and what came of it."""
        return [(each.target.partition("/")[2], each.outcome) for each in self.attempts if each.outcome != "skipped"]


def play(case: Case, way: Way) -> None:
    """Play a case in one way, and check everything about it."""
    threads = threading.active_count()
    match case.outcome:
        case Raises():
            _check_error(case.outcome, _tell(case, way, beside=True))
        case Fails(kind, _, times):
            told = _tell(case, way, beside=True)
            assert told.asked == [("first", kind)] * times + [("second", "ok")]
            assert (told.text, told.error) == (SECOND, None)
            _check_error(case.outcome, _tell(case, way, beside=False))
        case Breaks(kind, partial):
            told = _tell(case, way, beside=True)
            assert isinstance(told.error, StreamInterruptedError)
            assert told.asked == [("first", kind)]
            assert told.error.partial == partial == "".join(chunk.content for chunk in told.chunks)
        case Answers():
            _check_answer(case.outcome, _tell(case, way, beside=case.beside))
    assert threading.active_count() == threads, "a thread was left behind"


def _check_error(expected: Fails, told: Told) -> None:
    assert type(told.error) is expected.error
    assert told.asked == [("first", expected.kind)] * expected.times
    for name, value in expected.facts.items():
        assert getattr(told.error, name) == value, name


def _check_answer(expected: Answers, told: Told) -> None:
    assert told.error is None
    failed = [("first", str(expected.before))] * (expected.times - 1)
    assert told.asked == [*failed, ("first", "ok")]
    assert (told.text, told.calls, told.reason) == (expected.text, expected.calls, expected.reason)
    if expected.usage:
        assert told.usage == expected.usage


def _tell(case: Case, way: Way, *, beside: bool) -> Told:
    reset_health()
    good = streamed(SECOND) if "stream" in way else answer(SECOND)
    with case.place() as url, FaultServer([Send(good)]) as second:
        client = LLMClient(
            LLMConfig(
                provider="openai-compatible",
                model="first",
                base_url=f"{url}/v1",
                api_key=KEY,
                **({"max_retries": 0} | dict(case.config)),
            ),
            # A timeout of its own: otherwise it has that of the first, which a case may have made very short.
            fallbacks=[target("second", f"{second.url}/v1", OTHER_KEY, timeout=30)] if beside else [],
        )
        told = _ask(client, case, way)
        _look_for_canaries(client, told)
        assert second.settles_at(0), "a connection was left open"
    return told


def target(model: str, base_url: str, key: str, **fields: Any) -> LLMConfig:
    """A target that is asked once."""
    fields = {"provider": "openai-compatible", "max_retries": 0} | fields
    return LLMConfig(model=model, base_url=base_url, api_key=key, **fields)


def limit_connections(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Clients that make their first connection from now on have so many permits."""
    defaults = Transport.__init__.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "max_connections", limit)


def _ask(client: LLMClient, case: Case, way: Way) -> Told:
    mode, _, shape = way.partition(" ")
    if mode == "async":
        return asyncio.run(_aask(client, case, streaming=shape == "stream"))
    with client:
        for _ in range(case.warm):
            assert not ask(client, case.prompt, streaming=shape == "stream", **case.ask).error
        return ask(client, case.prompt, streaming=shape == "stream", **case.ask)


async def _aask(client: LLMClient, case: Case, *, streaming: bool) -> Told:
    async with client:
        for _ in range(case.warm):
            assert not (await aask(client, case.prompt, streaming=streaming, **case.ask)).error
        told = await aask(client, case.prompt, streaming=streaming, **case.ask)
    await no_other_task()
    return told


async def no_other_task() -> None:
    """Nothing goes on beside the task that asks, now or at the loop's next turn."""
    for _ in range(2):
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"
        await asyncio.sleep(0)


def ask(client: LLMClient, prompt: str = PROMPT, *, streaming: bool, **overrides: Any) -> Told:
    """Make one call; an error is part of what is told."""
    told = Told()
    try:
        if streaming:
            for chunk in client.stream(prompt, **overrides):
                told.chunks.append(chunk)
        else:
            told.hear(client.generate(prompt, **overrides))
    except LLMError as problem:
        told.error, told.attempts = problem, problem.attempts
    return told.joined()


async def aask(client: LLMClient, prompt: str = PROMPT, *, streaming: bool, **overrides: Any) -> Told:
    """As ``ask``."""
    told = Told()
    try:
        if streaming:
            async for chunk in client.astream(prompt, **overrides):
                told.chunks.append(chunk)
        else:
            told.hear(await client.agenerate(prompt, **overrides))
    except LLMError as problem:
        told.error, told.attempts = problem, problem.attempts
    return told.joined()


def _look_for_canaries(client: LLMClient, told: Told) -> None:
    if told.error:
        clean_error(told.error)
    for thing in (client, told.attempts, told.chunks, health_snapshot()):
        clean(thing)
