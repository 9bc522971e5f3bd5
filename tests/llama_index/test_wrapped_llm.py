"""Wrapped LLMs as fallbacks: called by their own methods, with failures handled as for any target."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ThinkingBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import MockLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from tests.support.each import each
from tests.support.langchain_targets import in_real_time, with_wrapped_models
from tests.support.llama_index_calls import HELLO, PRIMARY, WAYS, model, record_events, text_of
from tests.support.llama_index_models import CALLING, Choosy, Native, Plain
from tests.support.scripted_targets import ScriptedTargets
from unified_llm import reset_health
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import (
    AllTargetsFailedError,
    AuthenticationError,
    ConfigurationError,
    GenerationError,
    LLMError,
    StreamInterruptedError,
    TimeoutError,
)
from unified_llm.llama_index import _wrapped_llm
from unified_llm.types import Tool

DOWN = {PRIMARY: [Failure("auth", 401)]}
TOOL = FunctionTool.from_defaults(lambda a, b: a + b, name="add", description="Add.")


def targets() -> ScriptedTargets:
    return ScriptedTargets(DOWN)


@each("way", WAYS)
@each("other", [Plain, Native, MockLLM])
def test_another_model_stands_in_whatever_its_build(other: Any, way: str) -> None:
    fallback = other()
    with in_real_time(targets()), record_events() as events_seen:
        responses = WAYS[way](model(fallbacks=[fallback]), temperature=0.5)
    answer = "Hello from outside" if other is not MockLLM else text_of(responses[-1])
    assert text_of(responses[-1]) == answer
    assert responses[-1].raw["unified_llm"]["used_fallback"] is True
    wrapped = _wrapped_llm.wrap(fallback)
    assert wrapped is not None
    assert responses[-1].raw["unified_llm"]["served_by"] == f"{fallback.class_name()}/{wrapped.model}"
    if "stream" in way:
        assert "".join(response.delta for response in responses) == answer
    if other is Native:
        assert events_seen.names.count("LLMChatEndEvent") == (0 if "complete" in way else 1), "only those of the chain"
        assert fallback.calls[0]["temperature"] == 0.5
    if other is Plain:
        assert fallback.calls[0]["thread"] == "unified-llm-model", "never on the loop"


@each("way", ["chat", "achat", "stream_chat", "astream_chat"])
def test_blocks_reach_the_caller_as_the_other_model_wrote_them_and_usage_is_counted(way: str) -> None:
    raw = {"usage": {"prompt_tokens": 5, "completion_tokens": 2}, "model": "native-9", "stop_reason": "max_tokens"}
    counter = TokenCountingHandler()
    with in_real_time(targets()):
        llm = model(fallbacks=[Native(message=CALLING, raw=raw)], callback_manager=CallbackManager([counter]))
        last = WAYS[way](llm)[-1]
    assert last.message.blocks == CALLING.blocks
    assert isinstance(last.message.blocks[0], ThinkingBlock)
    assert last.raw["model_name"] == "native-9"
    assert last.raw["finish_reason"] == "length"
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (5, 2)
    (call,) = llm.get_tool_calls_from_response(last)
    assert (call.tool_id, call.tool_kwargs) == ("t1", {"a": 1, "b": 2})
    assert last.message.additional_kwargs["tool_calls"][0]["id"] == "t1"


@each("way", ["chat", "achat", "stream_chat", "astream_chat"])
def test_local_13_reasoning_alone_is_no_answer_unless_it_was_cut(way: str) -> None:
    thought = ChatMessage(role="assistant", blocks=[ThinkingBlock(content="Hm.")])
    with in_real_time(targets()), pytest.raises(LLMError) as caught:
        WAYS[way](model(fallbacks=[Native(message=thought)]))
    assert caught.value.attempts[-1].outcome == "empty"
    assert isinstance(caught.value, StreamInterruptedError if "stream" in way else AllTargetsFailedError)
    with in_real_time(targets()):
        WAYS[way](model(fallbacks=[Native(message=thought, raw={"stop_reason": "max_tokens"})]))


def test_tools_are_offered_in_its_own_way_and_the_history_is_not_touched() -> None:
    native, choosy = Native(message=CALLING), Choosy(message=CALLING)
    history = [ChatMessage(role="user", content="1 + 2?")]
    with in_real_time(targets()):
        for other in (native, choosy):
            llm = model(fallbacks=[other])
            llm.chat_with_tools([TOOL], chat_history=history)
            llm.chat_with_tools([TOOL], chat_history=history, tool_choice="add")
            llm.chat_with_tools([TOOL], chat_history=history, tool_choice="none", allow_parallel_tool_calls=True)
            llm.chat_with_tools([TOOL], chat_history=history, tool_required=True, allow_parallel_tool_calls=True)
    free, named, none, forced = native.calls
    assert free["tools"][0]["function"]["parameters"]["required"] == ["a", "b"]
    assert (free["required"], free["parallel"]) == (False, False)
    assert (named["required"], len(named["tools"])) == (True, 1)
    assert "tools" not in none
    assert (forced["required"], forced["parallel"]) == (True, True)
    assert [call.get("choice") for call in choosy.calls] == [None, "add", None, None]
    assert [message.content for message in native.calls[0]["messages"]] == ["1 + 2?"]
    assert [message.content for message in history] == ["1 + 2?"]
    with pytest.raises(NotImplementedError):
        _wrapped_llm.SchemaTool(Tool("add", "Add."))("x")


def test_what_it_can_do_is_what_it_says_and_only_tools_of_its_own_kind() -> None:
    assert model(fallbacks=[Native()]).metadata.is_function_calling_model
    plain = model(fallbacks=[Plain()])
    assert not plain.metadata.is_function_calling_model
    assert plain.metadata.context_window == 2048
    unknown = _wrapped_llm.wrap(Native(knows_its_metadata=False))
    assert unknown is not None
    assert (unknown.model, "tools" in unknown.features) == ("native-1", False)
    with with_wrapped_models(targets()), pytest.raises(AuthenticationError):
        model(fallbacks=[Plain()]).chat_with_tools([TOOL], user_msg="?")
    with pytest.raises(ConfigurationError, match="model of the framework"):
        model(fallbacks=[TOOL])


def test_a_method_that_nobody_decorated_is_called_as_it_is() -> None:
    class Undecorated(Native):
        def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
            return self._whole(messages, kwargs)

    with in_real_time(targets()):
        assert model(fallbacks=[Undecorated()]).chat(HELLO).message.content == "Hello from outside"


class SDKError(Exception):
    """An exception like those of the providers' SDKs."""

    def __init__(self, status: int, code: str | None = None) -> None:
        super().__init__("their words")
        self.status_code, self.code = status, code
        self.response = httpx.Response(status, headers={"retry-after": "7", "x-other": "1"})


@each(
    ("problem", "kind"),
    [
        (SDKError(429), "RateLimitError"),
        (SDKError(429, "insufficient_quota"), "QuotaExceededError"),
        (SDKError(401), "AuthenticationError"),
        (SDKError(503), "ServiceUnavailableError"),
        (SDKError(422), "BadRequestError"),
        (SDKError(0), "ServiceUnavailableError"),
        (httpx.ReadTimeout("slow"), "TimeoutError"),
        (httpx.ConnectError("gone"), "ConnectionError"),
        (ConnectionResetError("gone"), "ConnectionError"),
        (GenerationError("a chain inside"), "ServiceUnavailableError"),
        (NotImplementedError("no streaming"), "UnsupportedOperationError"),
    ],
)
def test_its_errors_are_judged_as_those_of_any_target(problem: Exception, kind: str) -> None:
    for way in ("chat", "astream_chat"):
        reset_health()
        with with_wrapped_models(targets()), pytest.raises(LLMError) as caught:
            WAYS[way](model(fallbacks=[Native(problem=problem)], max_retries=0))
        last = caught.value.errors[-1] if isinstance(caught.value, AllTargetsFailedError) else caught.value
        assert type(last).__name__ == kind
        assert "their words" not in str(caught.value)


@each("way", ["chat", "achat", "stream_chat", "astream_chat"])
def test_a_mistake_in_its_code_is_raised_as_it_is(way: str) -> None:
    with in_real_time(targets()), pytest.raises(KeyError, match="mine"):
        WAYS[way](model(fallbacks=[Native(problem=KeyError("mine"))]))


@each("way", ["chat", "achat", "stream_chat", "astream_chat"])
def test_one_that_hangs_or_is_silent_is_given_up(way: str) -> None:
    gate = threading.Event()
    slow: Any = Native(pause=60) if way.startswith("a") else Plain(wait=gate)
    with in_real_time(targets()), pytest.raises(AllTargetsFailedError) as caught:
        WAYS[way](model(fallbacks=[slow]), timeout=0.03, deadline=0.05)
    gate.set()
    assert isinstance(caught.value.errors[-1], TimeoutError)
    silent = Native(message=ChatMessage(role="assistant"), thinks=False)
    with with_wrapped_models(targets()), pytest.raises(AllTargetsFailedError, match="empty response"):
        WAYS[way](model(fallbacks=[silent]))


def test_a_stream_of_its_own_that_breaks_raises() -> None:
    class Breaking(Native):
        def _pieces(self, whole: ChatResponse) -> Any:
            yield super()._pieces(whole)[1]
            raise ConnectionResetError("gone")

    with in_real_time(targets()), pytest.raises(StreamInterruptedError) as caught:
        list(model(fallbacks=[Breaking()]).stream_chat(HELLO))
    assert caught.value.partial == "Hello"


def test_its_rate_limiter_is_asked_for_each_attempt_on_it() -> None:
    class Counting(TokenBucketRateLimiter):
        asked: int = 0

        def acquire(self, *args: Any, **kwargs: Any) -> None:
            self.asked += 1

        async def async_acquire(self, *args: Any, **kwargs: Any) -> None:
            self.asked += 1

    limiter = Counting(requests_per_minute=600)
    with in_real_time(targets()):
        llm = model(fallbacks=[Native(rate_limiter=limiter)])
        llm.chat(HELLO)
        asyncio.run(llm.achat(HELLO))
    assert limiter.asked == 2


def test_one_object_has_one_health_and_a_chain_in_a_chain_joins_it() -> None:
    other = Native()
    assert _wrapped_llm.wrap(other) is _wrapped_llm.wrap(other)
    inner = model(fallbacks=[other])
    outer = model(model="groq/llama-3.3-70b-versatile", fallbacks=[inner])
    names = [target.name for target in outer.client.targets]
    assert names == ["groq/llama-3.3-70b-versatile", PRIMARY, "native_llm/native-1"]
    assert outer.client.targets[-1].health_key == inner.client.targets[-1].health_key
    assert outer.to_dict()["fallbacks"] == [{"model": PRIMARY}, "native_llm/native-1"]


def test_an_object_of_given_shape_comes_from_it_too() -> None:
    class Sum(BaseModel):
        a: int
        b: int

    answer = CALLING.model_copy(update={"blocks": [CALLING.blocks[2].model_copy(update={"tool_name": "Sum"})]})
    prompt = PromptTemplate("?")
    with in_real_time(targets()):
        assert model(fallbacks=[Native(message=answer)]).structured_predict(Sum, prompt) == Sum(a=1, b=2)
        assert model(fallbacks=[Plain(answer='{"a": 1, "b": 2}')]).structured_predict(Sum, prompt) == Sum(a=1, b=2)


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


PROMPT = PromptTemplate("?")


@each("way", ["whole", "stream"])
def test_an_object_comes_by_a_forced_tool_or_by_prompt(way: str) -> None:
    def predict(llm: Any) -> Any:
        if way == "whole":
            return llm.structured_predict(Sum, PROMPT)
        return list(llm.stream_structured_predict(Sum, PROMPT))[-1]

    call = CALLING.blocks[2].model_copy(update={"tool_name": "Sum"})
    calling = Choosy(message=CALLING.model_copy(update={"blocks": [call]}))
    plain, talking = Plain(answer='So: {"a": 1, "b": 2} !'), Native(message=ChatMessage(content='{"a": 1, "b": 2}'))
    with in_real_time(targets()):
        for fallback in (calling, plain, talking):
            assert predict(model(fallbacks=[fallback])) == Sum(a=1, b=2)
        by_prompt = model(fallbacks=[plain], pydantic_program_mode=PydanticProgramMode.LLM, system_prompt="Be brief.")
        assert predict(by_prompt) == Sum(a=1, b=2)
    assert [tool["function"]["name"] for tool in calling.calls[0]["tools"]] == ["Sum"]
    assert calling.calls[0]["choice"] == "Sum"
    first, second = (call["prompt"] for call in plain.calls)
    assert "write one JSON value and nothing else" in first
    assert second.index("Be brief.") < second.index("write one JSON value")


def test_json_beside_tools_is_asked_for_by_prompt() -> None:
    fallback = Native(message=ChatMessage(content='{"a": 1, "b": 2}'))
    with in_real_time(targets()):
        response = model(fallbacks=[fallback]).chat(HELLO, tools=[TOOL], response_format={"type": "json_object"})
    assert response.message.content == '{"a": 1, "b": 2}'
    assert [tool["function"]["name"] for tool in fallback.calls[0]["tools"]] == ["add"]
    assert "write one JSON value" in fallback.calls[0]["messages"][0].content


@each("text", ["I like trains.", '{"a": "CANARY", "b": 2}'])
def test_a_wrong_object_is_an_error_without_the_answer(text: str) -> None:
    with in_real_time(targets()), pytest.raises(AllTargetsFailedError, match=r"custom_llm/plain-1") as caught:
        model(fallbacks=[Plain(answer=text)]).structured_predict(Sum, PROMPT)
    error = caught.value.errors[-1]
    assert isinstance(error, GenerationError)
    assert text not in str(caught.value)
    assert (error.answer, "CANARY" in str(error.detail)) == (text, False)


@each("way", ["sync", "async"])
def test_a_wrong_object_is_asked_for_once_more_then_of_the_next_target(way: str) -> None:
    first, last = Plain(answer='{"a": "no", "b": 2}'), Native(message=ChatMessage(content='{"a": 1, "b": 2}'))
    llm = model(fallbacks=[first, last])
    with in_real_time(targets()):
        if way == "sync":
            assert llm.structured_predict(Sum, PROMPT) == Sum(a=1, b=2)
        else:
            assert asyncio.run(llm.astructured_predict(Sum, PROMPT)) == Sum(a=1, b=2)
    assert ["This answer is not accepted" in call["prompt"] for call in first.calls] == [False, True]
