"""Keys, prompts and answers, and every place where they must not turn up.

Each canary is a text that occurs nowhere else. Whatever is printed, logged or pickled is searched for all of them.
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

from tests.support.scripted_targets import Pause, ScriptedTargets, call_tool, say
from unified_llm import LLMClient, LLMConfig, health_snapshot, reset_health
from unified_llm._core.api_key import Secret
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm.exceptions import AllTargetsFailedError, LLMError, StreamInterruptedError
from unified_llm.types import Attempt, LLMChunk, LLMResponse, Message, ToolCall

KEY = "sk-CANARY-key-7f3a9c"
ENV_KEY = "sk-CANARY-env-5b1d2e"
PROMPT = "CANARY-prompt tell me everything"
ANSWER = "CANARY-answer here it is"
BODY = {"metadata": "CANARY-body"}
ECHO = f"CANARY-echo: invalid key {KEY}, in the request {PROMPT!r}"
KINDS: tuple[FailureKind, ...] = get_args(FailureKind)

PRIMARY, SECOND, LAST = "openai/gpt-4o", "anthropic/claude-haiku-4-5", "mlx/demo"
WORLDS: dict[str, dict[str, Any]] = {
    "answered": {PRIMARY: [say(ANSWER, reasoning="CANARY-reasoning", raw={"text": ANSWER})]},
    "tool call": {PRIMARY: [call_tool("find", '{"what": "CANARY-argument"}')]},
    "broken tool call": {PRIMARY: [call_tool("find", "CANARY-argument {")]},
    "failed over": {PRIMARY: [Failure("server", 503, detail=ECHO)], SECOND: [say(ANSWER)]},
    "interrupted": {PRIMARY: [["CANARY-answer ", Failure("connection", detail=ECHO)]]},
    "silent": {PRIMARY: [["CANARY-answer ", Pause()]], SECOND: [[Pause()]]},
    "truncated": {PRIMARY: [[LLMChunk("CANARY-answer")]]},
}


def failing(kind: FailureKind) -> dict[str, Any]:
    """Every target fails like this, and its provider repeats what it was sent."""

    def failure(detail: str) -> Failure:
        return Failure(kind, 400, "some_code", detail, "req-1", {"retry-after": "1", "x-echo": KEY})

    # What cannot be sent, and what a model in this process says, is told in our own words.
    remote = failure("messages[0] cannot be written as JSON." if kind == "unsendable" else ECHO)
    chain = {PRIMARY: [remote], SECOND: [remote], LAST: [failure("The model sulks: let it.")]}
    return chain | {
        name.partition("/")[0]: attempts for name, attempts in chain.items()
    }  # for a list, no model is named


@pytest.fixture(autouse=True)
def _as_it_could_be_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", ENV_KEY)
    monkeypatch.setattr("unified_llm._config.resolve._check_mlx", lambda _: None)


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Everything that anybody logs in a test is searched after it."""
    with caplog.at_level(logging.DEBUG):
        yield
    for record in caplog.get_records("call"):
        clean(record.getMessage())
        clean({name: value for name, value in vars(record).items() if name != "exc_info"})
        if record.exc_info and record.exc_info[1]:
            clean_error(record.exc_info[1])


def clean(thing: object) -> None:
    assert "CANARY" not in f"{thing!r}"
    assert "CANARY" not in f"{thing}"


def ours(problem: BaseException) -> list[traceback.FrameSummary]:
    """The package's own frames, with their variables, of an error and of what led to it."""
    frames: list[traceback.FrameSummary] = []
    cause: BaseException | None = problem
    while cause:
        report = traceback.TracebackException(type(cause), cause, cause.__traceback__, capture_locals=True)
        frames += [frame for frame in report.stack if "/unified_llm/" in frame.filename]
        cause = cause.__cause__ or cause.__context__
    return frames


def clean_error(problem: BaseException) -> None:
    """Nothing in what is displayed; and no key in the variables of our calls, which error trackers collect."""
    clean(problem)
    clean("".join(traceback.format_exception(problem)))
    for frame in ours(problem):
        assert "sk-CANARY" not in f"{frame.locals}", f"{frame.filename}:{frame.lineno}"
    if isinstance(problem, LLMError):
        for name, value in vars(problem).items():
            if name not in {"detail", "partial", "raw"}:
                clean(value)
        data = pickle.dumps(problem)
        assert b"CANARY" not in data
        clean(pickle.loads(data))  # noqa: S301 - our own
    if isinstance(problem, AllTargetsFailedError):
        for each in problem.errors:
            clean_error(each)


def make(**fields: Any) -> LLMClient:
    return LLMClient(LLMConfig(model=PRIMARY, api_key=KEY, max_retries=0), fallbacks=[SECOND, LAST], **fields)


def conversation() -> list[Message]:
    call = ToolCall.from_text("c1", "find", '{"what": "CANARY-argument"}')
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


def search(targets: ScriptedTargets, way: str) -> None:
    """Make a call, and look at everything that comes of it."""
    heard: list[Attempt] = []

    def on_attempt(attempt: Attempt) -> None:
        heard.append(attempt)
        raise ValueError(PROMPT)

    with targets.running():
        client = make(on_attempt=on_attempt)
        try:
            clean(ways(client)[way]())
        except LLMError as problem:
            clean_error(problem)
        clean(health_snapshot())
    assert heard
    clean(heard)
    clean(targets.asked)
    clean_within(client)


@pytest.mark.parametrize("way", ["generate", "agenerate", "stream", "astream", "conversation"])
@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.case(67)
def test_no_canary_turns_up_whatever_happens(name: str, way: str, caplog: pytest.LogCaptureFixture) -> None:
    search(ScriptedTargets({SECOND: [say(ANSWER)], LAST: [say(ANSWER)], **WORLDS[name]}), way)
    assert caplog.records


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.case(67, 68)
def test_no_canary_turns_up_whatever_fails(kind: FailureKind) -> None:
    for way in ("generate", "stream", "embed", "list_models"):
        reset_health()
        search(ScriptedTargets(failing(kind)), way)


def test_a_stream_that_is_given_up_says_nothing_of_what_it_had() -> None:
    targets = ScriptedTargets({PRIMARY: [["CANARY-answer ", "CANARY-more"]]})
    with targets.running():
        stream = make().stream(PROMPT)
        clean(stream)
        next(iter(stream))
        clean(stream)
        stream.close()
        assert stream.partial == "CANARY-answer "
        clean(stream.attempts)


def test_an_interrupted_stream_keeps_its_text_in_partial_alone() -> None:
    targets = ScriptedTargets({PRIMARY: [["CANARY-answer", Failure("connection", detail=ECHO)]]})
    with targets.running(), pytest.raises(StreamInterruptedError) as broken:
        list(make().stream(PROMPT))
    assert broken.value.partial == "CANARY-answer"
    clean_error(broken.value)


def test_the_text_of_a_provider_is_in_detail_alone() -> None:
    targets = ScriptedTargets({"openai/gpt-4o": [Failure("bad_request", 400, detail=ECHO)]})
    with targets.running(), pytest.raises(LLMError) as refused:
        LLMClient(PRIMARY, api_key=KEY).generate(PROMPT)
    assert refused.value.detail == ECHO
    clean_error(refused.value)


def parts(thing: object) -> Iterator[object]:
    """What an object of ours, or a container, is made of."""
    if isinstance(thing, Mapping):
        yield from thing.values()
    elif isinstance(thing, (list, tuple, set, frozenset, deque)):
        yield from thing
    elif type(thing).__module__.startswith("unified_llm") and not isinstance(thing, Secret):
        yield from getattr(thing, "__dict__", {}).values()
        for kind in type(thing).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            yield from (getattr(thing, name, None) for name in ([slots] if isinstance(slots, str) else slots))


def clean_within(root: object) -> None:
    """Look at every object of ours that can be reached."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, (str, bytes, int, float, type(None))):
            continue
        seen[id(thing)] = thing
        clean(thing)
        waiting.extend(parts(thing))
    assert len(seen) > 20


@pytest.mark.case(67)
def test_nothing_that_can_be_reached_from_a_client_shows_a_key() -> None:
    client = LLMClient(
        PRIMARY, api_key=KEY, fallbacks=[SECOND, {"model": "groq/x", "api_key": KEY}, {"base_url": "https://h"}]
    )
    assert [target.key.reveal() for target in client.targets if target.key] == [KEY, ENV_KEY, KEY, KEY]
    clean_within(client)
    for target in client.targets:
        clean(dataclasses.asdict(target))
        clean(copy.copy(target))
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(target)


@pytest.mark.case(67)
def test_no_key_is_in_a_pickle_and_copies_in_memory_keep_it() -> None:
    client = make()
    for thing in (client, LLMConfig(model=PRIMARY, api_key=KEY, fallbacks=[{"model": SECOND, "api_key": KEY}])):
        assert b"CANARY" not in pickle.dumps(thing)
    for again in (copy.copy(client), copy.deepcopy(client)):
        assert again.targets[0].key == client.targets[0].key
        clean_within(again)


def test_a_copy_from_another_process_finds_the_keys_of_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(make())
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-that-process")
    again = pickle.loads(data)  # noqa: S301 - our own
    assert again.targets[0].key == Secret("sk-of-that-process", "x")


def fail(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError


@pytest.mark.parametrize("way", ["generate", "agenerate", "stream", "list_models"])
@pytest.mark.case(67)
def test_a_crash_below_everything_shows_no_key_either(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr("socket.getaddrinfo", fail)
    client = LLMClient(PRIMARY, api_key=KEY, max_retries=0)
    with pytest.raises((ZeroDivisionError, LLMError)) as crash:
        ways(client)[way]()
    assert [frame for frame in ours(crash.value) if "/_backends/http/" in frame.filename]
    for frame in ours(crash.value):
        assert "sk-CANARY" not in f"{frame.locals}", f"{frame.filename}:{frame.lineno}"
    clean("".join(traceback.format_exception(crash.value)))


def test_answers_are_in_no_repr() -> None:
    targets = ScriptedTargets({PRIMARY: [say(ANSWER, reasoning="CANARY-reasoning")]})
    with targets.running():
        answer = LLMClient(PRIMARY, api_key=KEY).generate(PROMPT)
    assert isinstance(answer, LLMResponse)
    assert answer.content == ANSWER
    clean(answer)
