"""Chat model objects of LangChain's in the chain of a ``ChatUnified``."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import Any, ClassVar

import pytest
from langchain_core import exceptions as theirs
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableLambda, RunnableWithFallbacks
from langchain_core.tools import tool
from pydantic import BaseModel

from tests.support.each import each
from tests.support.langchain_models import Limiter, Native, Plain, Sequential, Streaming, WithForms, WithTools
from tests.support.langchain_targets import KEY, in_real_time, with_wrapped_models
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from unified_llm import exceptions as ours
from unified_llm._core.outcome import Failure
from unified_llm.langchain import ChatUnified
from unified_llm.langchain._wrapped_model import read_failure, wrap

PRIMARY = "openai/gpt-5-mini"
DOWN = Failure("auth", 401)
KINDS = [Plain, WithTools, Streaming, Native]


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


JOKE = {"setup": "Why?", "punchline": "Because."}


def model(*fallbacks: Any, **fields: Any) -> ChatUnified:
    given: dict[str, Any] = {"model": PRIMARY, "api_key": KEY, "fallbacks": fallbacks, "max_retries": 0, **fields}
    return ChatUnified(**given)


def down() -> ScriptedTargets:
    return ScriptedTargets({PRIMARY: [DOWN]})


def add_up(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return sum(chunks[1:], start=chunks[0])


async def all_ways(llm: Any) -> list[AIMessage]:
    """Return the responses of invoke, ainvoke, stream and astream."""
    return [
        llm.invoke("Hi"),
        await llm.ainvoke("Hi"),
        add_up(list(llm.stream("Hi"))),
        add_up([chunk async for chunk in llm.astream("Hi")]),
    ]


# Answers


@pytest.mark.parametrize("kind", KINDS)
async def test_a_model_object_of_any_build_is_a_fallback_in_all_four_ways(kind: type[Plain]) -> None:
    outside = kind()
    with with_wrapped_models(down()):
        answers = await all_ways(model(outside))
    for answer in answers:
        assert answer.text == "Hello from outside"
        assert answer.response_metadata["unified_llm"]["served_by"] == "outside/plain-1"
        assert answer.response_metadata["unified_llm"]["used_fallback"] is True
        assert answer.response_metadata["model_provider"] == "unified-llm"
    assert len(outside.calls) == 4


@pytest.mark.parametrize("version", ["v0", "v1"])
async def test_content_blocks_reach_the_caller_as_the_model_wrote_them(version: str) -> None:
    blocks: list[Any] = [{"type": "thinking", "thinking": "Hm.", "signature": "s-1"}, {"type": "text", "text": "So."}]
    anthropic = {"model_provider": "anthropic", "model_name": "claude", "stop_reason": "end_turn"}
    outside = Native(
        answer=AIMessage(blocks, response_metadata=anthropic),
        chunks=[
            AIMessageChunk(content=[{**block, "index": index}], response_metadata=anthropic)
            for index, block in enumerate(blocks)
        ],
    )
    with with_wrapped_models(down()):
        answers = await all_ways(model(outside, output_version=version))
    for answer in answers:
        blocks_read: list[Any] = list(answer.content_blocks)
        thought, text = blocks_read
        assert (thought["type"], thought["reasoning"], thought["extras"]) == ("reasoning", "Hm.", {"signature": "s-1"})
        assert (text["type"], text["text"]) == ("text", "So.")
        assert answer.response_metadata["model_name"] == "claude"
        assert answer.response_metadata["finish_reason"] == "stop"


async def test_what_a_model_wants_back_with_the_history_is_kept() -> None:
    kwargs = {"thought_signatures": {"c1": "xyz"}, "reasoning_content": "Hm.", "refusal": None}
    outside = Native(
        answer=AIMessage("So.", additional_kwargs=kwargs),
        chunks=[
            AIMessageChunk(
                content="So.", additional_kwargs={"thought_signatures": {"c1": "xyz"}, "reasoning_content": "Hm."}
            )
        ],
    )
    with with_wrapped_models(down()):
        for answer in await all_ways(model(outside)):
            assert answer.additional_kwargs == {"thought_signatures": {"c1": "xyz"}, "reasoning_content": "Hm."}
            assert [block["type"] for block in answer.content_blocks] == ["reasoning", "text"]


async def test_usage_finish_reason_and_identifiers_are_read_from_the_message() -> None:
    usage: Any = {
        "input_tokens": 9,
        "output_tokens": 5,
        "total_tokens": 14,
        "input_token_details": {"cache_read": 3, "cache_creation": 2, "audio": 1},
        "output_token_details": {"reasoning": 4, "audio": 1},
    }
    metadata = {"finish_reason": "length", "id": "r-9", "model_name": "outside-2"}
    outside = Native(
        answer=AIMessage("Hi", usage_metadata=usage, response_metadata=metadata),
        chunks=["Hi", AIMessageChunk(content="", usage_metadata=usage, response_metadata=metadata)],
    )
    with with_wrapped_models(down()):
        for answer in await all_ways(model(outside)):
            assert answer.usage_metadata == usage
            assert [answer.response_metadata[name] for name in ("finish_reason", "id", "model_name")] == [
                "length",
                "r-9",
                "outside-2",
            ]


async def test_calls_of_tools_and_broken_ones_are_read() -> None:
    calls: Any = [{"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}]
    broken: Any = [{"name": "add", "args": '{"a":', "id": "c2", "error": None, "type": "invalid_tool_call"}]
    fragments: Any = [
        {"name": "add", "args": '{"a"', "id": "c1", "index": 1},
        {"name": None, "args": ": 1}", "id": None, "index": None},
    ]
    outside = Native(
        answer=AIMessage("", tool_calls=calls, invalid_tool_calls=broken),
        chunks=[AIMessageChunk(content="", tool_call_chunks=[each]) for each in fragments],
    )
    with with_wrapped_models(down()):
        whole, awhole, streamed, astreamed = await all_ways(model(outside))
    for answer in (whole, awhole):
        assert [(call["name"], call["args"], call["id"]) for call in answer.tool_calls] == [("add", {"a": 1}, "c1")]
        assert [(call["id"], call["args"]) for call in answer.invalid_tool_calls] == [("c2", '{"a":')]
    for answer in (streamed, astreamed):
        assert [(call["name"], call["args"], call["id"]) for call in answer.tool_calls] == [("add", {"a": 1}, "c1")]
        assert answer.response_metadata["finish_reason"] == "tool_calls"


def test_calls_in_a_model_that_cannot_stream_are_streamed_all_the_same() -> None:
    calls: Any = [{"name": "add", "args": {"a": 1}, "id": "c1"}, {"name": "add", "args": {"a": 2}, "id": "c2"}]
    with with_wrapped_models(down()):
        whole = add_up(list(model(Plain(answer=AIMessage("", tool_calls=calls))).stream("Hi")))
    assert [(call["args"], call["id"]) for call in whole.tool_calls] == [({"a": 1}, "c1"), ({"a": 2}, "c2")]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_empty_answer_is_no_answer(kind: type[Plain]) -> None:
    fields: dict[str, Any] = {"chunks": ["", AIMessageChunk(content=[])]} if issubclass(kind, Streaming) else {}
    with with_wrapped_models(down()):
        for way in (lambda llm: llm.invoke("Hi"), lambda llm: list(llm.stream("Hi"))):
            with pytest.raises(ours.LLMError) as caught:
                way(model(kind(answer="", **fields)))
            assert {each.outcome for each in caught.value.attempts} & {"empty"}


@pytest.mark.parametrize("kind", KINDS)
def test_local_13_reasoning_alone_is_no_answer_and_an_image_is_one(kind: type[Plain]) -> None:
    thought: Any = {"type": "thinking", "thinking": "Hm."}
    image: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
    ways: list[Any] = [lambda llm: llm.invoke("Hi"), lambda llm: list(llm.stream("Hi"))]
    for way in ways:
        fields: dict[str, Any] = {"chunks": [AIMessageChunk(content=[thought])]} if issubclass(kind, Streaming) else {}
        with with_wrapped_models(down()), pytest.raises(ours.LLMError) as caught:
            way(model(kind(answer=AIMessage([thought]), **fields)))
        assert caught.value.attempts[-1].outcome == "empty"
        cut = AIMessage([thought], response_metadata={"finish_reason": "length"})
        fields = {"chunks": [AIMessageChunk(**cut.model_dump(exclude={"type"}))]} if fields else {}
        with with_wrapped_models(down()):
            way(model(kind(answer=cut, **fields)))
        fields = {"chunks": [AIMessageChunk(content=[thought, image])]} if fields else {}
        with with_wrapped_models(down()):
            way(model(kind(answer=AIMessage([thought, image]), **fields)))


async def test_a_model_that_returns_nothing_at_all_has_not_answered() -> None:
    class Nothing(Native):
        def _result(self) -> ChatResult:
            return ChatResult(generations=[])

    with with_wrapped_models(ScriptedTargets({PRIMARY: [DOWN], "ollama/llama2": [say("still here")]})):
        assert model(Nothing(), "ollama/llama2").invoke("Hi").content == "still here"
        assert (await model(Nothing(), "ollama/llama2").ainvoke("Hi")).content == "still here"
        assert add_up(list(model(Nothing(disable_streaming=True), "ollama/llama2").stream("Hi"))).text == "still here"


def test_what_is_no_chunk_of_an_answer_is_passed_over() -> None:
    class Chatty(Streaming):
        def _make_chunks(self) -> list[ChatGenerationChunk]:
            return [ChatGenerationChunk(message=HumanMessageChunk(content="?")), *super()._make_chunks()]

    with with_wrapped_models(down()):
        assert add_up(list(model(Chatty()).stream("Hi"))).text == "Hello from outside"


def test_a_model_whose_streaming_is_switched_off_is_asked_for_a_whole_answer() -> None:
    outside = Streaming(disable_streaming=True, answer="whole")
    with with_wrapped_models(down()):
        assert add_up(list(model(outside).stream("Hi"))).text == "whole"


# What is passed on


async def test_a_model_receives_langchains_own_messages_and_what_the_call_asks_for() -> None:
    outside = Native()
    options: Any = {
        "temperature": 0.1,
        "max_tokens": 9,
        "stop": ["x"],
        "seed": 5,
        "model": "gpt-5",
        "extra_body": {"a": 1},
    }
    with with_wrapped_models(ScriptedTargets({"openai/gpt-5": [DOWN]})):
        await model(outside, temperature=0.9).ainvoke("Hi", **options)
    (call,) = outside.calls
    assert call["messages"][0].content == "Hi"
    assert {name: call[name] for name in call if name not in {"messages", "thread"}} == {
        "stop": ["x"],
        "temperature": 0.1,
        "num_predict": 9,
    }
    assert (outside.temperature, outside.num_predict) == (None, None)


# langchain D
def test_d_a_setting_that_no_field_of_the_model_takes_is_left_out() -> None:
    outside = Plain(temperature=0.5)
    settings: Any = {
        "temperature": 2.5, "top_p": 0.9, "seed": 1, "frequency_penalty": 1, "presence_penalty": 1,
        "reasoning_effort": "low", "parallel_tool_calls": False,
    }  # fmt: skip
    with with_wrapped_models(down()):
        model(outside, model_kwargs={"top_p": 0.8}).invoke("Hi", **settings)
    (call,) = outside.calls
    assert {name: call[name] for name in call if name not in {"messages", "thread"}} == {
        "stop": None,
        "temperature": 0.5,
    }


def test_d_parallel_calls_are_a_matter_of_the_models_own_bind_tools() -> None:
    kinds: tuple[tuple[type[WithTools], bool], ...] = ((Sequential, True), (WithTools, False))
    for kind, sequential in kinds:
        outside = kind(answer=AIMessage("", tool_calls=[{"name": "Joke", "args": JOKE, "id": "c1"}]))
        with with_wrapped_models(down()):
            model(outside).bind_tools([add], parallel_tool_calls=False).invoke("Hi")
            structured = model(outside).with_structured_output(Joke, method="function_calling")
            assert structured.invoke("Hi") == Joke(**JOKE)
        assert [call.get("sequential", False) for call in outside.calls] == [sequential] * 2


class Known(Native):
    """A model of a provider that the table of providers has."""

    provider: str

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": self.model, "ls_model_type": "chat"}


async def test_d_what_the_api_of_a_wrapped_model_does_not_take_is_fitted_and_recorded() -> None:
    settings: Any = {"temperature": 1.5, "seed": 3, "stop": ["from"]}
    cases: tuple[tuple[str, str, Any, dict[str, Any]], ...] = (
        ("anthropic", "claude-haiku-4-5", {"temperature": 1.0, "stop": ["from"]}, {"temperature": [1.5, 1.0]}),
        ("openai", "gpt-5-mini", {"stop": None}, {"temperature": [1.5, None], "stop": [1, None]}),
        ("google_genai", "gemini-2.5-flash", {"temperature": 1.5, "stop": ["from"]}, {}),
        ("unheard-of", "m", {"temperature": 1.5, "stop": ["from"]}, {}),
    )
    for provider, name, sent, adjusted in cases:
        outside = Known(provider=provider, model=name)
        with with_wrapped_models(down()):
            answers = await all_ways(model(outside).bind(**settings))
        for call, message in zip(outside.calls, answers, strict=True):
            assert {key: call[key] for key in call if key not in {"messages", "thread"}} == sent
            # The client applies a stop that is not sent.
            assert message.text == ("Hello " if sent["stop"] is None else "Hello from outside")
            attempt = message.response_metadata["unified_llm"]["attempts"][-1]
            assert attempt["adjusted"] == {"seed": [3, None], **adjusted}, provider


async def test_d_blocks_that_the_client_cuts_at_a_stop_are_cut() -> None:
    blocks: list[Any] = [{"type": "text", "text": "Hello from outside", "index": 0}]
    metadata = {"model_provider": "openai"}
    outside = Known(
        provider="openai",
        model="gpt-5-mini",
        answer=AIMessage(blocks, response_metadata=metadata),
        chunks=[AIMessageChunk(content=blocks, response_metadata=metadata)],
    )
    with with_wrapped_models(down()):
        for message in await all_ways(model(outside).bind(stop=["from"])):
            assert (message.text, [block["type"] for block in message.content_blocks]) == ("Hello ", ["text"])


async def test_d_a_forced_choice_that_the_model_ignores_is_asked_for_by_prompt_and_checked() -> None:
    class Ignoring(Native):
        def bind_tools(self, tools: Any, *, tool_choice: str | None = None, **kwargs: Any) -> Any:
            return super().bind_tools(tools, **kwargs)

    calls: Any = [{"name": "Joke", "args": JOKE, "id": "c1"}]
    fragments: Any = [{"name": "Joke", "args": json.dumps(JOKE), "id": "c1", "index": 0}]
    obliging = Ignoring(
        answer=AIMessage("", tool_calls=calls), chunks=[AIMessageChunk(content="", tool_call_chunks=fragments)]
    )
    with with_wrapped_models(down()):
        llm = model(obliging).bind_tools([Joke], tool_choice="any")
        for message in await all_ways(llm):
            assert [(call["name"], call["args"]) for call in message.tool_calls] == [("Joke", JOKE)]
        assert model(obliging).with_structured_output(Joke, method="function_calling").invoke("Hi") == Joke(**JOKE)
    for call in obliging.calls:
        assert [message.type for message in call["messages"]] == ["human", "human"]
        assert "Joke" in call["messages"][-1].text
    refusing = Ignoring(answer="I would rather not.")
    with with_wrapped_models(
        ScriptedTargets({PRIMARY: [DOWN], "ollama/llama2": [call_tool("Joke", json.dumps(JOKE))]})
    ):
        message = model(refusing, "ollama/llama2").bind_tools([Joke], tool_choice="any").invoke("Hi")
    assert [call["name"] for call in message.tool_calls] == ["Joke"]
    assert len(refusing.calls) == 2, "it is asked to correct its answer once"


def test_d_tools_that_the_model_refuses_skip_it() -> None:
    class Narrow(WithTools):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            raise ValueError("a tool has a name")

    with with_wrapped_models(ScriptedTargets({PRIMARY: [DOWN], "ollama/llama2": [say("still here")]})):
        message = model(Narrow(), "ollama/llama2").bind_tools([add]).invoke("Hi")
        assert message.content == "still here"
        assert [each["outcome"] for each in message.response_metadata["unified_llm"]["attempts"]] == [
            "auth",
            "unsupported",
            "ok",
        ]


@pytest.mark.parametrize(("choice", "sent"), [("any", "any"), ("add", "add"), (None, None), ("auto", "auto")])
def test_tools_are_phrased_by_the_models_own_bind_tools(choice: str | None, sent: str | None) -> None:
    outside = WithTools()
    with with_wrapped_models(down()):
        model(outside).bind_tools([add], tool_choice=choice, parallel_tool_calls=False).invoke("Hi")
    (call,) = outside.calls
    assert [each["function"]["name"] for each in call["tools"]] == ["add"]
    assert call.get("tool_choice") == sent


def test_where_no_tool_may_be_called_none_is_offered() -> None:
    outside = WithTools()
    with with_wrapped_models(down()):
        model(outside).bind_tools([add], tool_choice="none").invoke("Hi")
    assert "tools" not in outside.calls[0]


def test_a_model_without_tools_is_skipped_for_a_request_that_needs_them() -> None:
    outside = Plain()
    with with_wrapped_models(down()), pytest.raises(ours.AuthenticationError) as caught:
        model(outside).bind_tools([add]).invoke("Hi")
    assert outside.calls == []
    assert ("outside/plain-1", "skipped") in [(each.target, each.outcome) for each in caught.value.attempts]


def test_what_is_bound_to_a_fallback_wins_and_tools_are_joined() -> None:
    outside = WithTools()
    own = {"type": "function", "function": {"name": "add", "description": "its own form"}}
    binding = outside.bind(
        tools=[own, {"name": "search"}, {"declarations": []}, "its own object"], temperature=0.0, stop=["own"]
    )
    with with_wrapped_models(down()):
        bound = model(binding).bind_tools([add, Joke])
        bound.invoke("Hi", temperature=0.7, stop=["x"])
    (call,) = outside.calls
    assert call["tools"][4] == "its own object"
    assert [each.get("function", each).get("name") for each in call["tools"][:4]] == ["Joke", "add", "search", None]
    assert call["tools"][1] == own
    assert (call["temperature"], call["stop"]) == (0.0, ["own"])


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
async def test_a_model_with_structured_output_of_its_own_uses_it(method: Any) -> None:
    outside = WithForms(answer=json.dumps(JOKE))
    with with_wrapped_models(down()):
        structured = model(outside).with_structured_output(Joke, method=method)
        assert structured.invoke("A joke") == Joke(**JOKE)
    (call,) = outside.calls
    assert call["format"]["title"]
    assert "tools" not in call
    assert "ls_structured_output_format" not in call


async def test_one_that_cannot_gives_its_answer_as_the_arguments_of_a_tool() -> None:
    calls: Any = [{"name": "Joke", "args": JOKE, "id": "c1"}]
    fragments: Any = [
        {"name": "Joke", "args": json.dumps(JOKE)[:10], "id": "c1", "index": 0},
        {"name": None, "args": json.dumps(JOKE)[10:], "id": None, "index": 0},
    ]
    chunks = [AIMessageChunk(content="", tool_call_chunks=[each]) for each in fragments]
    outside = Native(answer=AIMessage("", tool_calls=calls), chunks=chunks)
    with with_wrapped_models(down()):
        llm = model(outside).with_structured_output(Joke, method="json_schema")
        results = [llm.invoke("A joke"), await llm.ainvoke("A joke"), list(llm.stream("A joke"))[-1]]
        raw = model(outside).bind(
            response_format={"type": "json_schema", "json_schema": {"name": "Joke", "schema": {}}}
        )
        message = raw.invoke("A joke")
    assert results == [Joke(**JOKE)] * 3
    assert outside.calls[0]["tool_choice"] == "Joke"
    assert (message.tool_calls, message.response_metadata["finish_reason"]) == ([], "stop")


@pytest.mark.parametrize("kind", [WithTools, WithForms])
def test_beside_other_tools_the_model_may_choose_between_them_and_the_answer(kind: type[WithTools]) -> None:
    calls: Any = [{"name": "add", "args": {"a": 1, "b": 2}, "id": "c1"}]
    outside = kind(answer=AIMessage("", tool_calls=calls))
    with with_wrapped_models(down()):
        message = model(outside).bind_tools([add], response_format=Joke).invoke("A joke")
    assert outside.calls[0]["tool_choice"] == "any"
    assert [each["function"]["name"] for each in outside.calls[0]["tools"]] == ["add", "Joke"]
    assert [call["name"] for call in message.tool_calls] == ["add"]


@pytest.mark.parametrize("kind", ["profile", "refuses", "by_tool"])
def test_a_model_that_has_no_form_of_its_own_after_all_gets_the_tool(kind: str) -> None:
    class Unwilling(WithForms):
        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            if kind == "refuses":
                raise ValueError("no json_schema here")
            return self.bind_tools([{"title": "x", "type": "object", "properties": {}}]) | RunnableLambda(str)

    calls: Any = [{"name": "Joke", "args": JOKE, "id": "c1"}]
    answer = AIMessage("", tool_calls=calls)
    outside = (
        WithForms(answer=answer, profile={"structured_output": False})
        if kind == "profile"
        else Unwilling(answer=answer)
    )
    with with_wrapped_models(down()):
        assert model(outside).with_structured_output(Joke, method="json_schema").invoke("A joke") == Joke(**JOKE)
    assert outside.calls[0]["tool_choice"] == "Joke"


def test_a_form_that_is_bound_to_the_fallback_is_left_as_it_is() -> None:
    outside = WithTools(answer=json.dumps(JOKE))
    with with_wrapped_models(down()):
        model(outside.bind(response_format="its own")).bind(response_format={"type": "json_object"}).invoke("A joke")
    assert outside.calls[0]["response_format"] == "its own"
    assert "tools" not in outside.calls[0]


# Features


def test_features_come_from_the_profile_and_without_one_a_model_is_assumed_to_have_them() -> None:
    def features(candidate: Any) -> frozenset[str]:
        wrapper = wrap(candidate)
        assert wrapper
        return wrapper.features

    assert features(Plain()) >= {"images", "audio", "files", "streaming"}
    assert not features(Plain()) & {"tools", "tool_choice", "json_schema"}
    assert features(WithTools()) >= {"tools", "tool_choice", "json_schema", "json_object"}
    assert "tools" not in features(WithTools(profile={"tool_calling": False}))
    assert "images" not in features(Plain(profile={"image_inputs": False}))
    assert "json_schema" in features(Plain(profile={"structured_output": True}))
    window = wrap(Plain(profile={"max_input_tokens": 4096}))
    assert window
    assert window.context_window == 4096


def test_the_profile_of_the_chain_counts_model_objects_too() -> None:
    llm = model(WithTools(profile={"max_input_tokens": 4096, "image_inputs": False}))
    assert llm.profile
    assert (llm.profile["max_input_tokens"], llm.profile["image_inputs"], llm.profile["tool_calling"]) == (
        4096,
        False,
        True,
    )


def test_one_object_is_one_target_in_however_many_chains() -> None:
    outside = Plain()
    binding = outside.bind(stop=["x"])
    assert wrap(outside) is wrap(outside)
    assert wrap(binding) is wrap(binding)
    assert wrap(outside) is not wrap(binding)
    assert wrap(RunnableLambda(str)) is None
    assert wrap(RunnableLambda(str).bind(x=1)) is None
    first, second = model(outside), model(outside)
    assert first.client.targets[1].health_key == second.client.targets[1].health_key


@pytest.mark.thorough
def test_the_target_of_an_object_that_is_gone_is_never_taken_for_that_of_another() -> None:
    for position in range(3):
        wrapper = wrap(Plain(model=f"m{position}"))
        assert wrapper
        assert wrapper.model == f"m{position}"
        del wrapper
        gc.collect()


# with_fallbacks


def test_with_fallbacks_stays_a_chat_model() -> None:
    outside = Plain()
    chain = ChatUnified(model=PRIMARY, api_key=KEY).with_fallbacks([outside, ChatUnified(model="ollama/llama2")])
    assert isinstance(chain, ChatUnified)
    assert [target.name for target in chain.client.targets] == [PRIMARY, "outside/plain-1", "ollama/llama2"]
    assert chain.client.targets[0].key is not None
    with with_wrapped_models(down()):
        assert chain.invoke("Hi").content == "Hello from outside"


def test_a_chain_in_a_chain_becomes_its_targets() -> None:
    inner = ChatUnified(model="ollama/llama2", temperature=0.5, fallbacks=[Plain()])
    outer = model(inner)
    assert [target.name for target in outer.client.targets] == [PRIMARY, "ollama/llama2", "outside/plain-1"]
    assert outer.client.targets[1].defaults["temperature"] == 0.5


def test_with_fallbacks_after_bind_tools_joins_the_chain_and_keeps_the_tools() -> None:
    outside = WithTools()
    other = ChatUnified(model="ollama/llama2")
    third = ChatUnified(model="ollama/llama3")
    chain: Any = (
        ChatUnified(model=PRIMARY, api_key=KEY)
        .bind_tools([add])
        .with_fallbacks([outside.bind_tools([add]), other.bind_tools([add]), third.bind_tools([Joke])])
    )
    assert isinstance(chain.bound, ChatUnified)
    names = [target.name for target in chain.bound.client.targets]
    assert names == [PRIMARY, "outside/plain-1", "ollama/llama2", "unified-llm/ollama/llama3"]
    with with_wrapped_models(down()):
        assert chain.invoke("Hi").text == "Hello from outside"
    assert [each["function"]["name"] for each in outside.calls[0]["tools"]] == ["add"]


def test_what_is_no_model_gets_langchains_own_fallbacks() -> None:
    plain = ChatUnified(model=PRIMARY, api_key=KEY)
    other: Any = RunnableLambda(str)
    for chain in (
        plain.with_fallbacks([other]),
        plain.with_fallbacks([Plain()], exceptions_to_handle=(ValueError,)),
        plain.with_fallbacks([Plain()], exception_key="error"),
        plain.bind_tools([add]).with_fallbacks([other]),
    ):
        assert isinstance(chain, RunnableWithFallbacks)


def test_a_model_with_bound_tools_of_ours_keeps_its_own_failover_inside_another_chain() -> None:
    inner = ChatUnified(model="ollama/llama2", fallbacks=["groq/x"], skip_unconfigured=True).bind_tools([add])
    llm = model(inner)
    with with_wrapped_models(ScriptedTargets({PRIMARY: [DOWN], "ollama/llama2": [say("Hi")]})) as targets:
        assert llm.invoke("Hi").content == "Hi"
    assert [request.tools[0].name for name, request in targets.asked if name == "ollama/llama2"] == ["add"]


# Time


@pytest.mark.parametrize("kind", [Plain, Streaming])
async def test_a_sync_model_that_hangs_is_abandoned_at_its_deadline(kind: type[Plain]) -> None:
    never = threading.Event()
    outside = kind(wait=never)
    llm = model(outside, deadline=0.2)
    with in_real_time(down()):
        with pytest.raises(ours.LLMError) as caught:
            llm.invoke("Hi")
        with pytest.raises(ours.LLMError) as acaught:
            await llm.ainvoke("Hi")
        with pytest.raises(ours.LLMError) as scaught:
            list(llm.stream("Hi"))
    assert [each.value.attempts[-1].outcome for each in (caught, acaught, scaught)] == ["timeout"] * 3
    threads = [call["thread"] for call in outside.calls]
    assert all(thread.daemon for thread in threads)
    never.set()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


async def test_many_tasks_may_wait_for_models_in_threads_at_once() -> None:
    gate = threading.Event()
    outside = Streaming(wait=gate)
    llm = model(outside)
    with in_real_time(down()):
        tasks = [asyncio.create_task(llm.ainvoke("Hi")) for _ in range(40)]
        while len(outside.calls) < len(tasks):  # noqa: ASYNC110 - threads cannot set an event of the loop
            await asyncio.sleep(0.01)
        gate.set()
        answers = await asyncio.gather(*tasks)
    assert [answer.text for answer in answers] == ["Hello from outside"] * 40


def test_a_thread_that_outlives_its_loop_ends_quietly() -> None:
    gate = threading.Event()
    outside = Streaming(wait=gate)

    async def give_up() -> None:
        with pytest.raises(ours.LLMError):
            await model(outside, deadline=0.1).ainvoke("Hi")

    with in_real_time(down()):
        asyncio.run(give_up())
    gate.set()
    thread = outside.calls[0]["thread"]
    thread.join(60)
    assert not thread.is_alive()


async def test_an_async_model_that_hangs_is_cancelled_at_its_deadline() -> None:
    outside = Native(pause=60.0)
    llm = model(outside, deadline=0.2)
    with in_real_time(down()):
        with pytest.raises(ours.LLMError) as caught:
            await llm.ainvoke("Hi")
        with pytest.raises(ours.LLMError) as scaught:
            [chunk async for chunk in llm.astream("Hi")]
    assert [each.value.attempts[-1].outcome for each in (caught, scaught)] == ["timeout"] * 2
    assert outside.calls == []


async def test_a_stream_that_is_closed_early_gives_the_model_its_end() -> None:
    threaded, native = Streaming(chunks=["word "] * 100), Native(chunks=["word "] * 100)
    with with_wrapped_models(down()):
        stream = model(threaded).stream("Hi")
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        async for _ in (astream := model(native).astream("Hi")):
            break
        await astream.aclose()  # type: ignore[attr-defined]
        for _ in range(200):
            if threaded.released and native.released:
                break
            await asyncio.sleep(0.01)
    assert (threaded.released, native.released) == ([1], [1])


async def test_the_rate_limiter_of_a_model_is_respected() -> None:
    class Counting(Limiter, BaseRateLimiter):
        pass

    limiter = Counting()
    with with_wrapped_models(down()):
        await all_ways(model(Native(rate_limiter=limiter)))
    assert limiter.acquired == 4


# Failures


class HttpError(Exception):
    def __init__(self, status: int, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__("the provider's message")
        self.code = code
        self.response = type("Response", (), {"status_code": status, "headers": headers or {}})()


class BotoError(Exception):
    response: ClassVar[Any] = {"ResponseMetadata": {"HTTPStatusCode": 503}}


class GoogleError(Exception):
    code = 404


class APITimeoutError(Exception):
    pass


class ConnectError(Exception):
    pass


class OddError(Exception):
    pass


class StatusError(Exception):
    status_code = 418


@each(
    ("problem", "kind"),
    [
        (theirs.ContextOverflowError(), "context"),
        (theirs.ModelAuthenticationError(), "auth"),
        (theirs.ModelPermissionDeniedError(), "permission"),
        (theirs.ModelNotFoundError(), "model_not_found"),
        (theirs.ModelRateLimitError(), "rate_limit"),
        (theirs.ModelTimeoutError(), "timeout"),
        (theirs.ModelConnectionError(), "connection"),
        (theirs.ModelAPIError(), "server"),
        (theirs.ModelInvalidRequestError(), "bad_request"),
        (HttpError(401), "auth"),
        (HttpError(402), "quota"),
        (HttpError(403), "permission"),
        (HttpError(404), "model_not_found"),
        (HttpError(408), "request_timeout"),
        (HttpError(413), "too_large"),
        (HttpError(422), "bad_request"),
        (HttpError(429), "rate_limit"),
        (HttpError(429, "insufficient_quota"), "quota"),
        (HttpError(529), "server"),
        (StatusError(), "bad_request"),
        (BotoError(), "server"),
        (GoogleError(), "model_not_found"),
        (APITimeoutError(), "timeout"),
        (ConnectError(), "connection"),
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "connection"),
        (OddError(), "server"),
        (NotImplementedError(), "unsupported"),
        (KeyError("x"), None),
        (TypeError("x"), None),
        (TypeError("f() got an unexpected keyword argument 'seed'"), None),
        (TypeError("Responses.create() got an unexpected keyword argument 'seed'"), "unsupported"),  # langchain D
    ],
)
def test_an_exception_becomes_a_kind_of_failure(problem: Exception, kind: str | None) -> None:
    failure = read_failure(problem)
    assert (failure.kind if failure else None) == kind


def test_hints_of_when_to_come_back_are_kept_and_other_headers_are_not() -> None:
    failure = read_failure(HttpError(429, headers={"Retry-After": "7", "set-cookie": KEY}))
    assert failure
    assert (failure.status, failure.headers) == (429, {"retry-after": "7"})


@pytest.mark.parametrize("kind", KINDS)
async def test_the_failure_of_a_model_object_is_a_failure_of_its_target(kind: type[Plain]) -> None:
    outside = kind(problem=HttpError(503))
    with with_wrapped_models(ScriptedTargets({PRIMARY: [DOWN], "ollama/llama2": [say("still here")]})):
        for answer in await all_ways(model(outside, "ollama/llama2")):
            assert answer.text == "still here"
            record = answer.response_metadata["unified_llm"]["attempts"]
            # Five failures open its breaker; then it is passed over.
            assert {each["outcome"] for each in record if each["target"] == "outside/plain-1"} <= {"server", "skipped"}
    assert outside.calls


@pytest.mark.parametrize("kind", KINDS)
async def test_a_mistake_in_someones_code_is_raised_as_it_is(kind: type[Plain]) -> None:
    with with_wrapped_models(ScriptedTargets({PRIMARY: [DOWN], "ollama/llama2": [say("never")]})):
        llm = model(kind(problem=KeyError("a typo")), "ollama/llama2")
        with pytest.raises(KeyError, match="a typo"):
            llm.invoke("Hi")
        with pytest.raises(KeyError, match="a typo"):
            list(llm.stream("Hi"))
        with pytest.raises(KeyError, match="a typo"):
            await llm.ainvoke("Hi")


def test_a_fake_model_of_langchains_own_is_a_fallback_without_more() -> None:
    with with_wrapped_models(down()):
        message = model(FakeListChatModel(responses=["canned"])).invoke("Hi")
    assert message.content == "canned"
    assert message.response_metadata["unified_llm"]["served_by"].startswith("fakelist")
