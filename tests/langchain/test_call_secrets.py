"""Keys among the arguments of a call: hidden or refused before a tracer, a frame or a cache of LangChain's has them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage
from langchain_core.tracers.base import BaseTracer
from pydantic import SecretStr

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import ConfigurationError, ServiceUnavailableError, ValidationError
from unified_llm.langchain import ChatUnified

if TYPE_CHECKING:
    from langchain_core.tracers.schemas import Run

PRIMARY = "openai/gpt-5-mini"
SECRET = KEY + "-of-a-call"
IN_BODY = "pw-0123456789-of-a-gateway"  # which pickles have
FAKE = "fakelistchatmodel/FakeListChatModel"
URL = "http://127.0.0.1:9"
# Each takes a model, a tracer and the arguments of the call.
WAYS: dict[str, Callable[..., Any]] = {
    "invoke": lambda llm, tracer, **kwargs: llm.invoke("Hi", {"callbacks": [tracer]}, **kwargs),
    "stream": lambda llm, tracer, **kwargs: list(llm.stream("Hi", {"callbacks": [tracer]}, **kwargs)),
    "batch": lambda llm, tracer, **kwargs: llm.batch(["Hi"], {"callbacks": [tracer]}, **kwargs),
    "generate": lambda llm, tracer, **kwargs: llm.generate([[HumanMessage("Hi")]], callbacks=[tracer], **kwargs),
    "bind": lambda llm, _, **kwargs: llm.bind(**kwargs),
    "bind_tools": lambda llm, _, **kwargs: llm.bind_tools([], **kwargs),
    "structured": lambda llm, _, **kwargs: llm.with_structured_output({"title": "a", "type": "object"}, **kwargs),
    "ainvoke": lambda llm, tracer, **kwargs: asyncio.run(llm.ainvoke("Hi", {"callbacks": [tracer]}, **kwargs)),
    "astream": lambda llm, tracer, **kwargs: asyncio.run(
        _collect(llm.astream("Hi", {"callbacks": [tracer]}, **kwargs))
    ),
    "abatch": lambda llm, tracer, **kwargs: asyncio.run(llm.abatch(["Hi"], {"callbacks": [tracer]}, **kwargs)),
    "agenerate": lambda llm, tracer, **kwargs: asyncio.run(
        llm.agenerate([[HumanMessage("Hi")]], callbacks=[tracer], **kwargs)
    ),
}


async def _collect(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


class Recorder(BaseTracer):
    """Keeps all that LangChain tells of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def _persist_run(self, run: Run) -> None:
        self.seen.append((run.inputs, run.extra, run.serialized))


def model() -> ChatUnified:
    return ChatUnified(model=PRIMARY, api_key=KEY)


def variables(error: BaseException) -> str:
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    package_frames = [frame for frame in shown.stack if "langchain" in frame.filename]
    return "".join(repr(frame.locals) for frame in package_frames if "tests" not in frame.filename)


@each("argument", ["openai_api_key", "default_headers", "headers", "access_token"])
@each("way", WAYS)
def test_a_key_is_refused_before_anything_sees_it(way: str, argument: str) -> None:
    recorder, value = Recorder(), SECRET if "headers" not in argument else {"X-Api-Key": SECRET}
    with pytest.raises(ValidationError, match=argument) as raised:
        WAYS[way](model(), recorder, **{argument: value})
    assert SECRET not in repr(recorder.seen) + variables(raised.value) + str(raised.value)


BINDINGS = ("bind", "bind_tools", "structured")
SCHEMA = {"title": "a", "type": "object", "properties": {"x": {"type": "integer"}}}
# A key in the wrong place, or beside a mistake, and the beginning of what is said.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "user of a URL": ({"base_url": f"http://u:{SECRET}@127.0.0.1:9"}, "The URL from base_url= holds a user name"),
    "query of a URL": ({"base_url": f"http://127.0.0.1:9?k={SECRET}"}, "The URL from base_url= has a query"),
    "no URL": ({"base_url": SECRET}, "The URL from base_url= must begin"),
    "retries": ({"max_retries": SECRET}, "max_retries must be a whole number"),
    "a model": ({"fallbacks": [SECRET]}, "names no known provider"),
    "no list": ({"fallbacks": SECRET}, "fallbacks is a list"),
    "a field": ({"fallbacks": [{"model": "ollama/x", "api_key": SECRET, "modle": "y"}]}, "LLMConfig has no field"),
}


@each("way", BINDINGS)
def test_a_key_cannot_be_bound_but_passed_with_each_call(way: str) -> None:
    with pytest.raises(ValidationError, match=r"'api_key' cannot be bound: the key belongs to .* or of a call\.$"):
        WAYS[way](model(), None, api_key=SECRET)


@each("way", [way for way in WAYS if way not in BINDINGS])
def test_the_key_of_a_call_is_used_and_nothing_else_sees_it(way: str) -> None:
    recorder, fallbacks = Recorder(), [{"model": "openai/gpt-4o", "api_key": SECRET + "-2", "base_url": URL}]
    with ScriptedTargets({PRIMARY: [Failure("server", 503)], URL + "/v1": [say("Hi")]}).running() as targets:
        WAYS[way](model(), recorder, api_key=SECRET, fallbacks=fallbacks, max_retries=0)
        assert [target.key.reveal() for target in targets.targets if target.key] == [SECRET, SECRET + "-2"]
        with pytest.raises(ServiceUnavailableError) as raised:
            WAYS[way](model(), recorder, api_key=SECRET, max_retries=0)
    assert SECRET not in repr(recorder.seen) + variables(raised.value) + str(raised.value)
    with pytest.raises(ConfigurationError, match="white space") as refused:
        WAYS[way](model(), recorder, api_key=SECRET + "\n")
    assert SECRET not in repr(recorder.seen) + variables(refused.value) + str(refused.value)


@each("place", WRONG)
@each("way", [way for way in WAYS if way not in BINDINGS])
def test_options_that_make_no_sense_are_refused_before_anything_sees_them(way: str, place: str) -> None:
    recorder, (given, words) = Recorder(), WRONG[place]
    with pytest.raises((ConfigurationError, ValidationError), match=words) as raised:
        WAYS[way](model(), recorder, **given)
    shown = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert recorder.seen == []
    assert SECRET not in shown.replace(repr(given)[1:-1], "")  # which this function has


def test_the_frames_of_a_binding_and_of_structured_output_have_no_key() -> None:
    bound = (model().bind(stop=["x"]), model().bind_tools([]), model().with_structured_output(SCHEMA))
    for each_bound in (*bound, model().with_structured_output(SCHEMA, include_raw=True)):
        for way in ("invoke", "stream", "batch", "ainvoke", "astream"):
            with ScriptedTargets({PRIMARY: [Failure("server", 503)]}).running() as targets:
                with pytest.raises(ServiceUnavailableError) as raised:
                    WAYS[way](each_bound, Recorder(), api_key=SECRET, max_retries=0)
                assert [target.key.reveal() for target in targets.targets if target.key] == [SECRET]
            assert SECRET not in variables(raised.value)


def test_the_raw_message_of_structured_output_is_asked_for_with_the_arguments_of_the_call() -> None:
    structured: Any = model().with_structured_output(SCHEMA, include_raw=True)
    for way in ("invoke", "stream", "batch", "ainvoke", "astream", "abatch"):
        recorder = Recorder()
        with ScriptedTargets({PRIMARY: [say('{"x": 1}')]}).running() as targets:
            WAYS[way](structured, recorder, api_key=SECRET)
            assert [target.key.reveal() for target in targets.targets if target.key] == [SECRET]
        assert SECRET not in repr(recorder.seen)
    assert structured.get_name() == "RunnableSequence"
    assert structured.steps[0].get_name() == "RunnableParallel<raw>"


def test_bound_fallbacks_hide_their_keys() -> None:
    recorder, fallbacks = Recorder(), [{"model": "openai/gpt-4o", "api_key": SECRET, "base_url": URL}]
    for bound in (model().bind(fallbacks=fallbacks), model().bind(stop=["x"]).bind(fallbacks=fallbacks)):
        with ScriptedTargets({PRIMARY: [Failure("server", 503)], URL + "/v1": [say("Hi")]}).running() as targets:
            WAYS["invoke"](bound, recorder, max_retries=0)
            assert [target.key.reveal() for target in targets.targets if target.key] == [KEY, SECRET]
        assert SECRET not in repr(bound) + dumps(bound) + repr(recorder.seen)


def test_keys_in_bodies_are_in_no_trace_no_dump_and_no_key_of_a_cache() -> None:
    body = {"api_key": IN_BODY, "user": {"auth_token": IN_BODY, "name": "seven"}}
    fallback = {"model": "openai/gpt-4o", "base_url": URL, "extra_body": body}
    places: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"extra_body": body}), ({"extra_body": body}, {}), ({}, {"fallbacks": [fallback]}),
        ({}, {"tools": [{"type": "mcp", "server_label": "seven", "authorization": IN_BODY}]}),
    ]  # fmt: skip
    for fields, given in places:
        recorder, llm = Recorder(), ChatUnified(model=PRIMARY, api_key=KEY, fallbacks=[fallback], **fields)
        with ScriptedTargets({PRIMARY: [say("Hi")]}).running():
            WAYS["invoke"](llm, recorder, **given)
        cached = llm._get_llm_string(**given)
        assert "seven" in repr(recorder.seen)
        assert IN_BODY not in repr(recorder.seen) + dumps(llm) + cached
        assert "extra_body" not in given or cached != llm._get_llm_string(extra_body={**body, "api_key": "other"})


@each("way", BINDINGS)
def test_a_key_cannot_be_bound(way: str) -> None:
    with pytest.raises(ValidationError, match="api_key"):
        WAYS[way](model(), None, api_key=SECRET)
    with pytest.raises(ConfigurationError, match="api_key"):
        ChatUnified(model=PRIMARY, api_key=KEY, model_kwargs={"api_key": "misplaced"})


def test_responses_to_two_keys_are_cached_apart() -> None:
    llm = model()
    first, second = (llm._get_llm_string(api_key=SecretStr(key)) for key in ("a", "b"))
    assert len({llm._get_llm_string(), first, second}) == 3
    assert llm._get_llm_string(request_id="1") == llm._get_llm_string()


def test_a_chat_model_can_be_a_fallback_of_one_call() -> None:
    other = ChatUnified("ollama/x")
    with ScriptedTargets({PRIMARY: [Failure("server", 503)], "ollama/x": [say("Hi")], FAKE: [say("Ho")]}).running():
        assert model().invoke("Hello?", fallbacks=[other]).content == "Hi"
        assert model().invoke("Hello?", fallbacks=[FakeListChatModel(responses=["Ho"])]).content == "Ho"


def test_tracers_do_not_get_the_values_of_headers_that_may_be_keys() -> None:
    recorder = Recorder()
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running():
        model().invoke(
            "Hi", config={"callbacks": [recorder]}, extra_headers={"Helicone-Auth": SECRET, "X-Tenant": "seven"}
        )
    assert SECRET not in repr(recorder.seen)
    assert "seven" in repr(recorder.seen)
