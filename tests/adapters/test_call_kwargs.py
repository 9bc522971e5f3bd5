"""Keyword arguments of calls through the adapters: read once, and checked as the client checks them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.base.llms.types import ChatMessage

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient
from unified_llm._client.call_options import OPTION_NAMES, CallOptions
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import ContentFilterError, ValidationError
from unified_llm.langchain import ChatUnified
from unified_llm.langchain import _constants as langchain
from unified_llm.llama_index import UnifiedLLM
from unified_llm.llama_index import _constants as llama_index
from unified_llm.types import LLMRequest, Message

MODEL, FALLBACK = "ollama/llama3.2", "ollama/qwen3"
TOOL = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}

Call = Callable[[Mapping[str, Any]], object]


def langchain_model(**fields: Any) -> ChatUnified:
    return ChatUnified(model=MODEL, fallbacks=[FALLBACK], **fields)


def llama_index_model(**fields: Any) -> UnifiedLLM:
    return UnifiedLLM(model=MODEL, fallbacks=[FALLBACK], **fields)


async def _collect(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


async def _aread(chunks: Any) -> list[Any]:
    return await _collect(await chunks)


LANGCHAIN: dict[str, Call] = {
    "invoke": lambda options: langchain_model().invoke("Hello?", **options),
    "ainvoke": lambda options: asyncio.run(langchain_model().ainvoke("Hello?", **options)),
    "stream": lambda options: list(langchain_model().stream("Hello?", **options)),
    "astream": lambda options: asyncio.run(_collect(langchain_model().astream("Hello?", **options))),
}
LLAMA_INDEX: dict[str, Call] = {
    "chat": lambda options: llama_index_model().chat([ChatMessage("Hello?")], **options),
    "achat": lambda options: asyncio.run(llama_index_model().achat([ChatMessage("Hello?")], **options)),
    "stream_chat": lambda options: list(llama_index_model().stream_chat([ChatMessage("Hello?")], **options)),
    "astream_complete": lambda options: asyncio.run(_aread(llama_index_model().astream_complete("Hello?", **options))),
}
CALLS = pytest.mark.parametrize("call", [*LANGCHAIN.values(), *LLAMA_INDEX.values()], ids=[*LANGCHAIN, *LLAMA_INDEX])


WRONG: list[dict[str, Any]] = [
    {"temperature": float("nan")},
    {"top_p": "high"},
    {"max_tokens": 0},
    {"seed": 1.5},
    {"top_logprobs": -1},
    {"logprobs": "yes"},
    {"model": 5},
    {"reasoning_effort": 3},
    {"tools": [TOOL], "parallel_tool_calls": "yes"},
    {"stop": [""]},
    {"stop": [1]},
    {"stop": 1},
    {"extra_body": ["no", "mapping"]},
    {"deadline": 0},
    {"timeout": "soon"},
    {"hedge_after": -1},
    {"failover_on": {"ratelimit": True}},
]


@CALLS
@each("wrong", WRONG)
def test_an_adapter_refuses_what_the_client_refuses(call: Call, wrong: dict[str, Any]) -> None:
    targets = ScriptedTargets({MODEL: [say("never")]})
    with targets.running():
        with pytest.raises(ValidationError) as expected:
            LLMClient(MODEL).generate("Hello?", **wrong)
        with pytest.raises(ValidationError) as caught:
            call(wrong)
    assert str(caught.value) == str(expected.value)
    assert targets.asked == []


def test_several_answers_are_no_stream() -> None:
    targets = ScriptedTargets({MODEL: [say("Hello")]})
    with targets.running(), pytest.raises(ValidationError, match="n asks for several answers"):
        list(langchain_model().stream("Hello?", n=2))
    assert targets.asked == []


@CALLS
def test_the_options_of_a_call_replace_those_of_the_client(call: Call) -> None:
    blocked = Failure("filter", 400)
    targets = ScriptedTargets({MODEL: [blocked], FALLBACK: [say("Hello")]})
    with targets.running():
        with pytest.raises(ContentFilterError):
            call({})
        call({"failover_on": {"filter": True}, "timeout": 5, "request_timeout": 6, "deadline": 7.5, "hedge_after": 3})
    assert targets.names == [MODEL, MODEL, FALLBACK]
    assert targets.asked[-1][1].extra_body == {}


def test_every_option_of_a_call_is_one_in_both_adapters() -> None:
    of_targets = {"max_retries", "retry_delay", "retry_max_delay", "retry_exponential_base"}
    of_targets |= {"api_key", "base_url", "fallbacks"}
    names = {"deadline", "timeout", "hedge_after", "failover_on", "extra_headers", *of_targets}
    assert set(OPTION_NAMES) == names
    of_calls_alone = {"api_key", "base_url", "fallbacks"}  # not of model_kwargs, which are dumped
    assert names - of_calls_alone <= langchain.REQUEST_FIELDS & llama_index.REQUEST_FIELDS
    assert not of_calls_alone & (langchain.REQUEST_FIELDS | llama_index.REQUEST_FIELDS)


@pytest.mark.parametrize("stop", [["b"], "b"])
def test_the_stop_texts_of_a_call_replace_all_others(stop: Any) -> None:
    targets = ScriptedTargets({MODEL: [say("Hello")]})
    with targets.running():
        langchain_model(model_kwargs={"stop": ["a"]}).invoke("Hello?", stop=stop)
        langchain_model(model_kwargs={"stop_sequences": ["a"]})._generate([HumanMessage("Hello?")], stop=["b"])
        llama_index_model(additional_kwargs={"stop": ["a"]}).chat([ChatMessage("Hello?")], stop=stop)
    assert [(request.stop, request.extra_body) for _, request in targets.asked] == [(("b",), {})] * 3


async def test_a_request_that_is_ready_is_sent_as_it_is() -> None:
    targets = ScriptedTargets({MODEL: [say("Hello")]})
    client = LLMClient(MODEL, deadline=9.0)
    whole = LLMRequest((Message.user("Hello?"),), temperature=0.5)
    streamed = LLMRequest((Message.user("Hello?"),), stream=True)
    with targets.running():
        assert client.run(whole, client.options).content == "Hello"
        assert (await client.arun(whole, CallOptions())).content == "Hello"
        assert [chunk.content for chunk in client.open_stream(streamed, client.options)] == ["Hello", ""]
        assert [chunk.content async for chunk in client.aopen_stream(streamed, client.options)] == ["Hello", ""]
    for (_, sent), request in zip(targets.asked, [whole, whole, streamed, streamed], strict=True):
        assert sent is request
    assert client.options == CallOptions(deadline=9.0)
