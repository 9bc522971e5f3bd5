"""Keys, prompts and answers are in no message, log, repr, traceback or pickle.

Each of them is a canary: a text that occurs nowhere else.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import logging
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, get_args

import pytest

from tests.support.canary_checks import assert_no_canary, assert_no_canary_in_error, own_frames
from tests.support.scripted_targets import Pause, ScriptedTargets, call_tool, say
from unified_llm import LLMClient, LLMConfig, health_snapshot, reset_health
from unified_llm._core.api_key import Secret
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm.exceptions import LLMError, StreamInterruptedError
from unified_llm.types import Attempt, LLMChunk, LLMResponse, Message, ToolCall

KEY = "sk-CANARY-key-7f3a9c"
ENV_KEY = "sk-CANARY-env-5b1d2e"
PROMPT = "CANARY-prompt tell me everything"
ANSWER = "CANARY-answer here it is"
BODY = {"metadata": "CANARY-body"}
ECHO = f"CANARY-echo: invalid key {KEY}, in the request {PROMPT!r}"
KINDS: tuple[FailureKind, ...] = get_args(FailureKind)

PRIMARY, SECOND, LAST = "openai/gpt-4o", "anthropic/claude-haiku-4-5", "mlx/demo"
SCRIPTS: dict[str, dict[str, Any]] = {
    "answered": {PRIMARY: [say(ANSWER, reasoning="CANARY-reasoning", raw={"text": ANSWER})]},
    "tool call": {PRIMARY: [call_tool("find", '{"what": "CANARY-argument"}')]},
    "broken tool call": {PRIMARY: [call_tool("find", "CANARY-argument {")]},
    "failed over": {PRIMARY: [Failure("server", 503, detail=ECHO)], SECOND: [say(ANSWER)]},
    "interrupted": {PRIMARY: [["CANARY-answer ", Failure("connection", detail=ECHO)]]},
    "silent": {PRIMARY: [["CANARY-answer ", Pause()]], SECOND: [[Pause()]]},
    "truncated": {PRIMARY: [[LLMChunk("CANARY-answer")]]},
}


def all_failing(kind: FailureKind) -> dict[str, Any]:
    """Return scripts by which every target fails like this, with a message that repeats the request."""

    def failure(detail: str) -> Failure:
        return Failure(kind, 400, "some_code", detail, "req-1", {"retry-after": "1", "x-echo": KEY})

    # The text for what cannot be sent, and that of a model in this process, is our own and is displayed.
    remote = failure("messages[0] cannot be written as JSON." if kind == "unsendable" else ECHO)
    chain = {PRIMARY: [remote], SECOND: [remote], LAST: [failure("The model sulks: let it.")]}
    # A request for the list of models names no model.
    return chain | {name.partition("/")[0]: attempts for name, attempts in chain.items()}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", ENV_KEY)
    monkeypatch.setattr("unified_llm._config.make_target.check_mlx", lambda _: None)


@pytest.fixture(autouse=True)
def _check_log_records(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check all log records of a test after it."""
    with caplog.at_level(logging.DEBUG):
        yield
    for record in caplog.get_records("call"):
        assert_no_canary(record.getMessage())
        assert_no_canary({name: value for name, value in vars(record).items() if name != "exc_info"})
        if record.exc_info and record.exc_info[1]:
            assert_no_canary_in_error(record.exc_info[1])


def make(**fields: Any) -> LLMClient:
    return LLMClient(LLMConfig(model=PRIMARY, api_key=KEY, max_retries=0), fallbacks=[SECOND, LAST], **fields)


def conversation() -> list[Message]:
    call = ToolCall.parse("c1", "find", '{"what": "CANARY-argument"}')
    return [
        Message.system("CANARY-system"),
        Message.user(PROMPT, images=["https://example.org/CANARY.png", b"\x89PNG CANARY"]),
        Message.assistant("CANARY-earlier", tool_calls=[call]),
        Message.tool("CANARY-result", "c1"),
    ]


def ways(client: LLMClient) -> dict[str, Callable[[], Any]]:
    async def gather() -> list[LLMChunk]:
        async with client.astream(PROMPT) as stream:
            return [chunk async for chunk in stream]

    return {
        "generate": lambda: client.generate(PROMPT),
        "agenerate": lambda: asyncio.run(client.agenerate(PROMPT)),
        "stream": lambda: list(client.stream(PROMPT)),
        "astream": lambda: asyncio.run(gather()),
        "conversation": lambda: client.generate(conversation(), extra_body=BODY),
        "embed": lambda: client.embed([PROMPT]),
        "list_models": client.list_models,
    }


def check_call(targets: ScriptedTargets, way: str) -> None:
    """Make a call, and check everything that results from it."""
    attempts: list[Attempt] = []

    def on_attempt(attempt: Attempt) -> None:
        attempts.append(attempt)
        raise ValueError(PROMPT)

    with targets.running():
        client = make(on_attempt=on_attempt)
        try:
            assert_no_canary(ways(client)[way]())
        except LLMError as error:
            assert_no_canary_in_error(error)
        assert_no_canary(health_snapshot())
    assert attempts
    assert_no_canary(attempts)
    assert_no_canary(targets.asked)
    assert_no_canary_within(client)


@pytest.mark.parametrize("way", ["generate", "agenerate", "stream", "astream", "conversation"])
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.case(67)
def test_no_canary_turns_up_whatever_happens(name: str, way: str, caplog: pytest.LogCaptureFixture) -> None:
    check_call(ScriptedTargets({SECOND: [say(ANSWER)], LAST: [say(ANSWER)], **SCRIPTS[name]}), way)
    assert caplog.records


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.case(67, 68)
def test_no_canary_turns_up_whatever_fails(kind: FailureKind) -> None:
    for way in ("generate", "stream", "embed", "list_models"):
        reset_health()
        check_call(ScriptedTargets(all_failing(kind)), way)


def test_a_stream_that_is_given_up_says_nothing_of_what_it_had() -> None:
    targets = ScriptedTargets({PRIMARY: [["CANARY-answer ", "CANARY-more"]]})
    with targets.running():
        stream = make().stream(PROMPT)
        assert_no_canary(stream)
        next(iter(stream))
        assert_no_canary(stream)
        stream.close()
        assert stream.partial == "CANARY-answer "
        assert_no_canary(stream.attempts)


def test_an_interrupted_stream_keeps_its_text_in_partial_alone() -> None:
    targets = ScriptedTargets({PRIMARY: [["CANARY-answer", Failure("connection", detail=ECHO)]]})
    with targets.running(), pytest.raises(StreamInterruptedError) as broken:
        list(make().stream(PROMPT))
    assert broken.value.partial == "CANARY-answer"
    assert_no_canary_in_error(broken.value)


def test_the_text_of_a_provider_is_in_detail_alone() -> None:
    targets = ScriptedTargets({"openai/gpt-4o": [Failure("bad_request", 400, detail=ECHO)]})
    with targets.running(), pytest.raises(LLMError) as refused:
        LLMClient(PRIMARY, api_key=KEY).generate(PROMPT)
    assert refused.value.detail == ECHO
    assert_no_canary_in_error(refused.value)


def parts(thing: object) -> Iterator[object]:
    """Yield the parts of an object of ours, or of a container."""
    if isinstance(thing, Mapping):
        yield from thing.values()
    elif isinstance(thing, (list, tuple, set, frozenset, deque)):
        yield from thing
    elif type(thing).__module__.startswith("unified_llm") and not isinstance(thing, Secret):
        yield from getattr(thing, "__dict__", {}).values()
        for kind in type(thing).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            yield from (getattr(thing, name, None) for name in ([slots] if isinstance(slots, str) else slots))


def assert_no_canary_within(root: object) -> None:
    """Check every object of ours that can be reached."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, (str, bytes, int, float, type(None))):
            continue
        seen[id(thing)] = thing
        assert_no_canary(thing)
        waiting.extend(parts(thing))
    assert len(seen) > 20


@pytest.mark.case(67)
def test_nothing_that_can_be_reached_from_a_client_shows_a_key() -> None:
    client = LLMClient(
        PRIMARY, api_key=KEY, fallbacks=[SECOND, {"model": "groq/x", "api_key": KEY}, {"base_url": "https://h"}]
    )
    assert [target.key.reveal() for target in client.targets if target.key] == [KEY, ENV_KEY, KEY, KEY]
    assert_no_canary_within(client)
    for target in client.targets:
        assert_no_canary(dataclasses.asdict(target))
        assert_no_canary(copy.copy(target))
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(target)


@pytest.mark.case(67)
def test_no_key_is_in_a_pickle_and_copies_in_memory_keep_it() -> None:
    client = make()
    for thing in (client, LLMConfig(model=PRIMARY, api_key=KEY, fallbacks=[{"model": SECOND, "api_key": KEY}])):
        assert b"CANARY" not in pickle.dumps(thing)
    for copied in (copy.copy(client), copy.deepcopy(client)):
        assert copied.targets[0].key == client.targets[0].key
        assert_no_canary_within(copied)


def test_a_copy_from_another_process_finds_the_keys_of_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(make())
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-that-process")
    loaded = pickle.loads(data)  # noqa: S301 - our own
    assert loaded.targets[0].key == Secret("sk-of-that-process", "x")


def fail(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError


@pytest.mark.parametrize("way", ["generate", "agenerate", "stream", "list_models"])
@pytest.mark.case(67)
def test_a_crash_below_everything_shows_no_key_either(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr("socket.getaddrinfo", fail)
    client = LLMClient(PRIMARY, api_key=KEY, max_retries=0)
    with pytest.raises((ZeroDivisionError, LLMError)) as crash:
        ways(client)[way]()
    assert [frame for frame in own_frames(crash.value) if "/_backends/http/" in frame.filename]
    for frame in own_frames(crash.value):
        assert "sk-CANARY" not in f"{frame.locals}", f"{frame.filename}:{frame.lineno}"
    assert_no_canary("".join(traceback.format_exception(crash.value)))


def test_answers_are_in_no_repr() -> None:
    targets = ScriptedTargets({PRIMARY: [say(ANSWER, reasoning="CANARY-reasoning")]})
    with targets.running():
        answer = LLMClient(PRIMARY, api_key=KEY).generate(PROMPT)
    assert isinstance(answer, LLMResponse)
    assert answer.content == str(answer) == f"{answer}" == ANSWER
    assert_no_canary(answer)
    assert_no_canary([answer])  # the text of a list has the reprs of its items
