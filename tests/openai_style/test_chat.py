"""Chat completions in OpenAI's shape over any target: whole, streamed, in events, parsed; with failover."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pydantic
import pytest

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.openai_style import AsyncOpenAI, OpenAI, pydantic_function_tool
from unified_llm.types import Citation, LLMRequest, LLMResponse, ProviderState, TokenLogprob, ToolCall, Usage

GPT, HAIKU = "openai/gpt-4o", "anthropic/claude-haiku-4-5"
KEY = "sk-a-key-of-a-test"
QUESTION: Any = [{"role": "user", "content": "Hi"}]


def client(**fields: Any) -> OpenAI:
    return OpenAI(api_key=KEY, fallbacks=[{"model": HAIKU, "api_key": KEY}], max_retries=0, **fields)


def down_then(steps: list[Any]) -> ScriptedTargets:
    return ScriptedTargets({GPT: [Failure("server", 503)], HAIKU: [steps]})


def asked(targets: ScriptedTargets, number: int = -1) -> LLMRequest:
    request: LLMRequest = targets.asked[number][1]
    return request


def test_a_fallback_answers_in_the_same_shape() -> None:
    with down_then(say("Hello", usage=Usage(1, 2, 3), model="claude-haiku-4-5-x")).running():
        response = client().chat.completions.create(model="gpt-4o", messages=QUESTION)
    message = response.choices[0].message
    assert (message.role, message.content, response.choices[0].finish_reason) == ("assistant", "Hello", "stop")
    assert response.object == "chat.completion"
    assert response.model == "claude-haiku-4-5-x"
    assert response.usage
    assert response.usage.total_tokens == 3
    assert response.unified_llm["served_by"] == HAIKU
    assert response.unified_llm["used_fallback"]
    assert "unified_llm" not in response.model_dump()
    assert response.id


def test_chunks_are_made_as_openai_sends_them() -> None:
    with down_then(say("Hello there", usage=Usage(1, 2, 3))).running():
        stream = client().chat.completions.create(
            model="gpt-4o", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    assert {(chunk.id, chunk.created, chunk.model) for chunk in chunks} == {
        (chunks[0].id, chunks[0].created, "claude-haiku-4-5")
    }
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "Hello there"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert chunks[-1].usage.total_tokens == 3
    assert chunks[-1].unified_llm["used_fallback"]
    assert stream.unified_llm
    assert stream.unified_llm["served_by"] == HAIKU


def test_a_stream_has_begun_when_it_is_returned_and_can_be_closed() -> None:
    with ScriptedTargets({GPT: [Failure("rate_limit", 429)]}).running():
        with pytest.raises(Exception, match="gpt-4o") as caught:
            OpenAI(api_key=KEY, max_retries=0).chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
        assert type(caught.value).__name__ == "RateLimitError"
    with (
        down_then(say("one two three")).running(),
        client().chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True) as stream,
    ):
        next(stream)
        stream.close()
        assert list(stream) == []


def test_async_calls_do_the_same() -> None:
    async def main() -> list[Any]:
        async with AsyncOpenAI(api_key=KEY, fallbacks=[{"model": HAIKU, "api_key": KEY}], max_retries=0) as own:
            whole = await own.chat.completions.create(model="gpt-4o", messages=QUESTION)
            stream = await own.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
            chunks = [chunk async for chunk in stream]
            async with own.chat.completions.stream(model="gpt-4o", messages=QUESTION) as events:
                kinds = [event.type async for event in events]
                final = await events.get_final_completion()
            return [whole.choices[0].message.content, len(chunks), kinds, final.choices[0].message.content]

    with ScriptedTargets(
        {GPT: [Failure("server", 503)] * 3, HAIKU: [say("Hello"), say("Hello"), say("Hello")]}
    ).running():
        content, count, kinds, final = asyncio.run(main())
    assert content == final == "Hello"
    assert count == 3
    assert kinds == ["chunk", "content.delta", "chunk", "content.delta", "chunk", "content.done"]


class City(pydantic.BaseModel):
    """A city."""

    name: str
    size: int | None = None


def test_an_answer_is_parsed_to_a_class_at_any_target() -> None:
    with down_then(say('{"name": "Oslo", "size": 3}')).running():
        parsed = client().chat.completions.parse(model="gpt-4o", messages=QUESTION, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="Oslo", size=3)
    with down_then(call_tool("City", '{"name": "Oslo", "size": 3}')).running():
        called = client().chat.completions.parse(
            model="gpt-4o", messages=QUESTION, tools=[pydantic_function_tool(City)]
        )
    calls = called.choices[0].message.tool_calls
    assert calls
    assert calls[0].function.parsed_arguments == City(name="Oslo", size=3)


def test_a_fallback_is_asked_to_correct_what_does_not_fit_the_class() -> None:
    steps = [say('{"name": 5, "size": 3}'), say('{"name": "Oslo", "size": 3}')]
    own = OpenAI(api_key=KEY, fallbacks=[{"model": HAIKU, "api_key": KEY}])
    with ScriptedTargets({GPT: [Failure("auth", 401)], HAIKU: steps}).running() as targets:
        parsed = own.chat.completions.parse(model="gpt-4o", messages=QUESTION, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="Oslo", size=3)
    assert targets.names == [GPT, HAIKU, HAIKU]


def test_a_target_that_is_asked_for_json_in_words_gets_no_request_as_it_was_written() -> None:
    for fallbacks in ([], [{"model": HAIKU, "api_key": KEY}]):
        with ScriptedTargets({"openai/gpt-3.5-turbo": [say('{"x": 1}')]}).running() as targets:
            OpenAI(api_key=KEY, fallbacks=fallbacks).chat.completions.create(
                model="gpt-3.5-turbo",
                messages=QUESTION,
                response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
            )
        assert asked(targets).original is None


@each("text", ["no JSON: CANARY", '{"name": ["CANARY"]}', '{"name": {"CANARY": 1}, "size": "CANARY"}'])
def test_an_answer_that_does_not_fit_is_an_error_of_pydantic_that_does_not_quote_it(text: str) -> None:
    running = ScriptedTargets({GPT: [say(text)]}).running()
    with running, pytest.raises(pydantic.ValidationError) as caught:
        client().chat.completions.parse(model="gpt-4o", messages=QUESTION, response_format=City)
    assert "CANARY" not in f"{caught.value}{caught.value!r}"
    assert caught.value.errors()[0]["input"]


def test_an_answer_that_was_cut_is_not_parsed() -> None:
    cut = down_then(say('{"name": "Os', finish_reason="length"))
    with cut.running(), pytest.raises(Exception, match="cut at its length limit") as caught:
        client().chat.completions.parse(model="gpt-4o", messages=QUESTION, response_format=City)
    assert type(caught.value).__name__ == "LengthFinishReasonError"


def test_the_older_form_of_tools_is_answered_in_that_form() -> None:
    function = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}
    history = [
        *QUESTION,
        {"role": "assistant", "content": None, "function_call": {"name": "look_up", "arguments": "{}"}},
        {"role": "function", "name": "look_up", "content": "1"},
    ]
    for stream in (False, True):
        with down_then(call_tool("look_up", '{"a": 1}')).running() as targets:
            answer: Any = client().chat.completions.create(
                model="gpt-4o", messages=history, functions=[function], function_call="auto", stream=stream
            )
            if stream:
                deltas = [chunk.choices[0].delta for chunk in answer]
                called = [delta.function_call for delta in deltas if delta.function_call]
                assert "".join(call.arguments for call in called) == '{"a": 1}'
            else:
                assert answer.choices[0].message.function_call.arguments == '{"a": 1}'
                assert answer.choices[0].message.tool_calls is None
                assert answer.choices[0].finish_reason == "function_call"
        request = asked(targets)
        assert [tool.name for tool in request.tools] == ["look_up"]
        assert request.messages[1].tool_calls[0].id == request.messages[2].tool_call_id


def test_a_message_of_an_answer_goes_back_into_the_conversation() -> None:
    state = ProviderState("anthropic", "anthropic", [{"signature": "s"}])
    steps = say("Hello", reasoning="Because.", provider_state=state)
    with down_then(steps).running() as targets:
        own = client()
        first = own.chat.completions.create(model="gpt-4o", messages=QUESTION)
    for message in (first.choices[0].message, first.choices[0].message.model_dump()):
        with down_then(say("Again")).running() as targets:
            own.chat.completions.create(model="gpt-4o", messages=(turn for turn in [*QUESTION, message, *QUESTION]))
        answered = asked(targets).messages[1]
        assert answered.reasoning == "Because."
        assert answered.provider_state == state


def test_citations_and_log_probabilities_have_openais_form() -> None:
    citation = Citation("https://a.test", "A", None, 0, 5)
    logprobs = (TokenLogprob("é", -0.5, (("e", -1.0),)),)
    with down_then(say("Hello", citations=(citation,), logprobs=logprobs)).running():
        response = client().chat.completions.create(model="gpt-4o", messages=QUESTION)
    dumped: Mapping[str, Any] = response.choices[0].model_dump()
    assert dumped["message"]["annotations"][0]["url_citation"]["url"] == "https://a.test"
    assert dumped["logprobs"]["content"] == [
        {
            "token": "é", "logprob": -0.5, "bytes": [195, 169],
            "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [101]}],
        }
    ]  # fmt: skip


@each(
    ("fields", "message"),
    [
        ({"messages": []}, "messages is missing or empty"),
        ({"messages": "Hi"}, "messages is missing or empty"),
        ({"messages": ["Hi"]}, "A message is a dict"),
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"response_format": City}, "call chat.completions.parse"),
        ({"response_format": "json"}, "response_format is a dict"),
        ({"tools": "none"}, "tools is a list"),
        ({"tools": [1]}, "A tool is a dict"),
        ({"n": 0}, "n must be a whole number"),
        ({"model": None}, "model is missing"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_sentence(fields: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"model": "gpt-4o", "messages": QUESTION, **fields}
    with pytest.raises(Exception, match=message) as caught:
        OpenAI(api_key=KEY).chat.completions.create(**given)
    assert type(caught.value).__name__ == "BadRequestError"


def test_what_only_one_target_could_do_is_not_lost_at_another() -> None:
    audio = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    video = [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://a.test/v"}}]}]
    fields: list[dict[str, Any]] = [audio, {"n": 2, "stream": True}, {"messages": video}]
    for given in fields:
        with down_then(say("Hello")).running() as targets, pytest.raises(Exception, match="503"):
            client().chat.completions.create(**{"model": "gpt-4o", "messages": QUESTION, **given})
        assert [request[0] for request in targets.asked] == [GPT]


def test_allowed_tools_are_the_tools_at_another_target() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tools[1]]}}
    with down_then(call_tool("b", "{}")).running() as targets:
        client().chat.completions.create(model="gpt-4o", messages=QUESTION, tools=tools, tool_choice=choice)
    assert [tool.name for tool in asked(targets).tools] == ["b"]
    assert asked(targets).tool_choice == "required"


def test_json_dumps_of_streams_are_plain() -> None:
    manager = client().chat.completions.stream(model="gpt-4o", messages=QUESTION)
    with down_then(say("Hello")).running(), manager as stream:
        events = [json.loads(event.model_dump_json()) for event in stream]
    assert events[0]["chunk"]["object"] == "chat.completion.chunk"
    assert stream.current_completion_snapshot.choices[0].message.content == "Hello"


def test_older_programs_find_parse_under_beta() -> None:
    with ScriptedTargets({GPT: [say('{"name": "Oslo"}')]}).running():
        parsed = OpenAI(api_key=KEY).beta.chat.completions.parse(
            model="gpt-4o", messages=QUESTION, response_format=City
        )
    assert parsed.choices[0].message.parsed == City(name="Oslo")
    with pytest.raises(UnsupportedOperationError, match=r"openai.OpenAI\(\).beta.assistants"):
        _ = OpenAI(api_key=KEY).beta.assistants  # type: ignore[attr-defined]


def test_a_stream_of_calls_and_reasoning_is_one_in_events() -> None:
    call = call_tool("City", '{"name": "Oslo", "size": 3}')
    with down_then(call).running():
        manager = client().chat.completions.stream(
            model="gpt-4o", messages=QUESTION, tools=[pydantic_function_tool(City)]
        )
        with manager as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_completion()
    assert kinds[-1] == "tool_calls.function.arguments.done"
    calls: Any = final.choices[0].message.tool_calls
    assert calls[0].function.parsed_arguments == City(name="Oslo", size=3)
    assert final.unified_llm["served_by"] == HAIKU
    with down_then(say("Hello", reasoning="Because.")).running():
        chunks = list(client().chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True))
    thoughts = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks]
    assert [thought for thought in thoughts if thought] == ["Because."]


def test_a_call_of_a_custom_tool_has_its_own_form_in_any_stream() -> None:
    tools = [
        {"type": "custom", "custom": {"name": "run"}},
        {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}},
    ]
    run = ToolCall.parse("call_1", "run", '{"input":"ls \\"a\\"\\n"}')
    calls = (run, ToolCall.parse("call_2", "look_up", '{"a": 1}'))
    answer = LLMResponse(finish_reason="tool_calls", tool_calls=calls)
    with down_then([answer]).running():
        chunks = list(client().chat.completions.create(model="gpt-4o", messages=QUESTION, tools=tools, stream=True))
    fragments = [call.to_dict() for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert fragments[0] == {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "run", "input": ""}}
    assert fragments[-1] == {"index": 0, "custom": {"input": 'ls "a"\n'}}
    assert not any("function" in call for call in fragments if call["index"] == 0)
    assert {call["index"] for call in fragments} == {0, 1}
