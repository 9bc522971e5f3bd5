"""Keys among the arguments of a call: hidden or refused before a tracer, a frame or a cache of LangChain's has them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import FakeListChatModel
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
