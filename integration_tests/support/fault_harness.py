"""Harness of the fault cases: the behaviour of the first of two targets, and the expected outcome of a call.

A case runs in up to four ways (sync or async, call or stream), each time through the whole stack and over real sockets:
once with a healthy fallback, and if that one answers, once more without it. In every case, no key, prompt or answer may
appear in a message, and no connection, thread or task may be left over.
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
from integration_tests.support.waiting import PATIENCE
from tests.support.canary_checks import assert_no_canary, assert_no_canary_in_error
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

StartServer: TypeAlias = Callable[[], AbstractContextManager[str]]
"""Starts the first target for the duration of a call; yields its URL without a path."""


def serving(
    *scripts: Sequence[Step],
    on_accept: Sequence[Step] = (),
    tls: Callable[[], SSLContext] | None = None,
    host: str = "127.0.0.1",
) -> StartServer:
    """A fault server with these scripts, one for each request."""

    @contextmanager
    def start_server() -> Iterator[str]:
        with FaultServer(*scripts, on_accept=on_accept, tls=tls() if tls else None, host=host) as server:
            yield server.url
            assert server.settles_at(0), "a connection was left open"
            for request in server.requests:
                assert request.headers["authorization"] == f"Bearer {KEY}"

    return start_server


# Expected outcomes


@dataclass(frozen=True)
class Fails:
    """The fallback answers; without a fallback, this error is raised.

    Attributes:
        kind: The outcome of each attempt.
        error: What is raised.
        times: The number of attempts, by ``max_retries`` of the case.
        facts: Expected attributes of the error.
    """

    kind: FailureKind
    error: type[LLMError]
    times: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Raises(Fails):
    """This error is raised at once: the fallback is not tried."""


@dataclass(frozen=True)
class Breaks:
    """The stream has begun, so it is interrupted, and the fallback is not tried."""

    kind: FailureKind
    partial: str


@dataclass(frozen=True)
class Answers:
    """The first target answers.

    Attributes:
        text: The answer.
        calls: Name and arguments of each tool call.
        reason: The finish reason.
        times: The number of attempts; all but the last end in ``before``.
        before: The outcome of the attempts that failed.
        usage: Tokens, if the case is about them.
    """

    text: str
    calls: tuple[tuple[str, str], ...] = ()
    reason: str = "stop"
    times: int = 1
    before: FailureKind | None = None
    usage: Usage | None = None


Outcome: TypeAlias = Fails | Breaks | Answers


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        number: As in the list of fault cases.
        title: A description of the fault.
        place: The first target.
        outcome: The expected outcome.
        shapes: Whether it applies to whole responses, streams, or both.
        config: Fields of the first target's configuration. No retries by default.
        options: Options of each call.
        prompt: The prompt of each call.
        warm: The number of successful calls before the one under test.
        with_fallback: Whether there is a second target; where the first fails over, it is played alone as well.
        fallback_text: The answer of the second target.
    """

    number: int
    title: str
    start_server: StartServer
    outcome: Outcome
    shapes: tuple[Shape, ...] = ("call", "stream")
    config: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = PROMPT
    warm: int = 0
    with_fallback: bool = True
    fallback_text: str = SECOND

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways in which it can run."""
        return tuple(way for way in WAYS if way.split()[1] in self.shapes)


# Running a case


@dataclass
class CallResult:
    """Everything that a caller gets from one call."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    reason: str | None = None
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()
    error: LLMError | None = None
    chunks: list[LLMChunk] = field(default_factory=list)

    def read_response(self, answer: LLMResponse) -> None:
        """Store a whole response."""
        assert_no_canary(answer)
        self.text, self.reason, self.usage = answer.content, answer.finish_reason, answer.usage
        self.calls = tuple((call.name, call.raw_arguments) for call in answer.tool_calls)
        self.attempts = answer.attempts

    def join_chunks(self) -> CallResult:
        """Join the chunks of a stream that ended without an error."""
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
    def outcomes(self) -> list[tuple[str, str]]:
        """The target and outcome of each attempt that was made."""
        return [(each.target.partition("/")[2], each.outcome) for each in self.attempts if each.outcome != "skipped"]


def run_case(case: Case, way: Way) -> None:
    """Run a case in one way, and check its outcome."""
    threads = threading.active_count()
    match case.outcome:
        case Raises():
            _check_error(case.outcome, _run_once(case, way, with_fallback=True))
        case Fails(kind, _, times):
            result = _run_once(case, way, with_fallback=True)
            assert result.outcomes == [("first", kind)] * times + [("second", "ok")]
            assert (result.text, result.error) == (case.fallback_text, None)
            _check_error(case.outcome, _run_once(case, way, with_fallback=False))
        case Breaks(kind, partial):
            result = _run_once(case, way, with_fallback=True)
            assert isinstance(result.error, StreamInterruptedError)
            assert result.outcomes == [("first", kind)]
            assert result.error.partial == partial == "".join(chunk.content for chunk in result.chunks)
        case Answers():
            _check_answer(case.outcome, _run_once(case, way, with_fallback=case.with_fallback))
    assert threading.active_count() == threads, "a thread was left behind"


def _check_error(expected: Fails, result: CallResult) -> None:
    assert type(result.error) is expected.error
    assert result.outcomes == [("first", expected.kind)] * expected.times
    for name, value in expected.facts.items():
        assert getattr(result.error, name) == value, name


def _check_answer(expected: Answers, result: CallResult) -> None:
    assert result.error is None
    failed = [("first", str(expected.before))] * (expected.times - 1)
    assert result.outcomes == [*failed, ("first", "ok")]
    assert (result.text, result.calls, result.reason) == (expected.text, expected.calls, expected.reason)
    if expected.usage:
        assert result.usage == expected.usage


def _run_once(case: Case, way: Way, *, with_fallback: bool) -> CallResult:
    reset_health()
    good = (streamed if "stream" in way else answer)(case.fallback_text)
    with case.start_server() as url, FaultServer([Send(good)]) as second:
        client = LLMClient(
            LLMConfig(
                provider="openai-compatible",
                model="first",
                base_url=f"{url}/v1",
                api_key=KEY,
                **({"max_retries": 0} | dict(case.config)),
            ),
            # Its own timeout: by default it has that of the first target, which may be very short in a case.
            fallbacks=[target("second", f"{second.url}/v1", OTHER_KEY, timeout=PATIENCE)] if with_fallback else [],
        )
        result = _run_sync(client, case, way)
        _look_for_canaries(client, result)
        assert second.settles_at(0), "a connection was left open"
    return result


def target(model: str, base_url: str, key: str, **fields: Any) -> LLMConfig:
    """The configuration of a target without retries."""
    fields = {"provider": "openai-compatible", "max_retries": 0, **fields}
    return LLMConfig(model=model, base_url=base_url, api_key=key, **fields)


def limit_connections(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Limit the connections of clients that make their first connection from now on."""
    defaults = Transport.__init__.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "max_connections", limit)


def _run_sync(client: LLMClient, case: Case, way: Way) -> CallResult:
    mode, _, shape = way.partition(" ")
    if mode == "async":
        return asyncio.run(_run_async(client, case, streaming=shape == "stream"))
    with client:
        for _ in range(case.warm):
            assert not run_call(client, case.prompt, streaming=shape == "stream", **case.options).error
        return run_call(client, case.prompt, streaming=shape == "stream", **case.options)


async def _run_async(client: LLMClient, case: Case, *, streaming: bool) -> CallResult:
    async with client:
        for _ in range(case.warm):
            assert not (await arun_call(client, case.prompt, streaming=streaming, **case.options)).error
        result = await arun_call(client, case.prompt, streaming=streaming, **case.options)
    await no_other_task()
    return result


async def no_other_task() -> None:
    """Assert that no task runs but the current one, now and at the loop's next iteration."""
    for _ in range(2):
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"
        await asyncio.sleep(0)


def run_call(client: LLMClient, prompt: str = PROMPT, *, streaming: bool, **overrides: Any) -> CallResult:
    """Make one call; an error becomes part of the result."""
    result = CallResult()
    try:
        if streaming:
            for chunk in client.stream(prompt, **overrides):
                result.chunks.append(chunk)
        else:
            result.read_response(client.generate(prompt, **overrides))
    except LLMError as error:
        result.error, result.attempts = error, error.attempts
    return result.join_chunks()


async def arun_call(client: LLMClient, prompt: str = PROMPT, *, streaming: bool, **overrides: Any) -> CallResult:
    """Async version of ``run_call``."""
    result = CallResult()
    try:
        if streaming:
            async for chunk in client.astream(prompt, **overrides):
                result.chunks.append(chunk)
        else:
            result.read_response(await client.agenerate(prompt, **overrides))
    except LLMError as error:
        result.error, result.attempts = error, error.attempts
    return result.join_chunks()


def _look_for_canaries(client: LLMClient, result: CallResult) -> None:
    if result.error:
        assert_no_canary_in_error(result.error)
    for thing in (client, result.attempts, result.chunks, health_snapshot()):
        assert_no_canary(thing)
