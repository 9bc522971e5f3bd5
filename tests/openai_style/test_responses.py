"""The Responses API of a client in OpenAI's shape: at targets that have it, and at any other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pydantic
import pytest

from tests.support.each import each
from tests.support.scripted_targets import say
from tests.support.sent_requests import SentRequests
from unified_llm import exceptions
from unified_llm._core.outcome import Done
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm.openai_style import AsyncOpenAI, OpenAI
from unified_llm.types.messages import ProviderState, ToolCall, ToolCallChunk
from unified_llm.types.raw import RawChunk, RawRequest, RawResponse
from unified_llm.types.records import Usage
from unified_llm.types.responses import Citation, LLMChunk, LLMResponse

KEY = "sk-test-0123456789"
CLAUDE = "anthropic/claude-haiku-4-5"
DEEPSEEK = "deepseek/deepseek-chat"  # which takes custom tools
OWN: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 7, "status": "completed", "model": "gpt-5-mini",
    "output": [
        {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "opaque"},
        {
            "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
        },
        {"id": "ws_1", "type": "web_search_call", "status": "completed"},
    ],
}  # fmt: skip
WEATHER: dict[str, Any] = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)


def answering(answer: Any, *failing: str) -> SentRequests:
    """Targets that answer with a body where they have the Responses API, and with a response of ours elsewhere."""

    def answer_of(request: Any, target: Target) -> list[Any]:
        if target.format == "openai_responses" or isinstance(request, RawRequest):
            return [codec_for(target.format).decode(request, target, OWN)]
        return [Done(answer)] if isinstance(answer, LLMResponse) else list(answer)

    return SentRequests(*failing, answers=answer_of)


def sent_to_claude(**fields: Any) -> Any:
    with answering(say("Hello")).running() as targets:
        OpenAI().responses.create(model=CLAUDE, **fields)
    return targets.sent[0].body


def test_a_target_with_the_api_gets_the_request_as_it_is_written_and_its_response_is_returned() -> None:
    written: dict[str, Any] = {
        "input": [{"role": "developer", "content": "Be kind."}, {"type": "later", "x": None}], "background": False,
        "tools": [{"type": "web_search"}], "previous_response_id": "resp_0", "text": {"verbosity": "low"},
        "metadata": None, "include": ["reasoning.encrypted_content"], "conversation": None,
    }  # fmt: skip
    with answering(()).running() as targets:
        response: Any = OpenAI().responses.create(model="gpt-5-mini", extra_body={"later": 1}, **written)
        again = asyncio.run(AsyncOpenAI().responses.create(model="openai/gpt-5-mini", input="Hi"))
    assert [sent.path for sent in targets.sent] == ["/v1/responses"] * 2
    assert targets.sent[0].body == {"model": "gpt-5-mini", "later": 1, **written}
    assert targets.sent[1].body == {"model": "gpt-5-mini", "input": "Hi"}
    assert response.to_dict() == again.to_dict() == OWN
    assert (response.output_text, response.output[2].type) == ("Hello", "web_search_call")
    assert response.unified_llm["served_by"] == "openai/gpt-5-mini"


def test_any_other_target_gets_the_input_as_a_conversation() -> None:
    items: list[Any] = [
        {"role": "user", "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
        ]},
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "clear"},
        {"type": "message", "role": "user", "content": "Thanks."},
    ]  # fmt: skip
    body = sent_to_claude(
        instructions="Be brief.", input=items, tools=[WEATHER], tool_choice={"type": "function", "name": "weather"},
        max_output_tokens=50, temperature=0.5, truncation="auto", store=True, user="someone",
    )  # fmt: skip
    assert body["system"] == "Be brief."
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "image"]
    assert [part["type"] for part in body["messages"][1]["content"]] == ["text", "tool_use"]
    assert [part["type"] for part in body["messages"][2]["content"]] == ["tool_result", "text"]
    assert (body["max_tokens"], body["temperature"]) == (50, 0.5)
    assert body["tool_choice"]["name"] == "weather"
    assert not body.keys() & {"truncation", "store", "input"}


def test_an_answer_of_another_api_is_a_response() -> None:
    answer = LLMResponse(
        "It is warm.", "claude-haiku-4-5", "anthropic", reasoning="Hm.", refusal=None,
        citations=(Citation("https://example.org/a", "A", start=0, end=5),), usage=Usage(10, 5, 15, cached_tokens=4),
    )  # fmt: skip
    with answering(answer).running():
        response: Any = OpenAI().responses.create(model=CLAUDE, input="Hi", metadata={"a": "b"}, temperature=0.5)
    assert (response.output_text, response.status, response.object) == ("It is warm.", "completed", "response")
    reasoning, message = response.output
    assert (reasoning.type, reasoning.summary[0].text) == ("reasoning", "Hm.")
    assert message.content[0].annotations[0].url == "https://example.org/a"
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (10, 5, 15)
    assert response.usage.input_tokens_details.cached_tokens == 4
    assert (response.metadata, response.temperature, response.tool_choice) == ({"a": "b"}, 0.5, "auto")
    assert response.unified_llm["served_by"] == CLAUDE
    with answering(LLMResponse("It", "m", "anthropic", "length")).running():
        cut: Any = OpenAI().responses.create(model=CLAUDE, input="Hi")
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    with answering(LLMResponse("", "m", "anthropic", refusal="No.")).running():
        refused: Any = OpenAI().responses.create(model=CLAUDE, input="Hi")
    assert refused.output[0].content[0].refusal == "No."


def test_a_fallback_with_another_api_answers_with_a_response() -> None:
    with answering(say("Hello"), "openai/gpt-5-mini").running() as targets:
        client = OpenAI(fallbacks=[CLAUDE], max_retries=0)
        response = client.responses.create(model="gpt-5-mini", input="Hi", prompt_cache_key="k")
    assert [sent.target for sent in targets.sent] == ["openai/gpt-5-mini", CLAUDE]
    assert "prompt_cache_key" not in targets.sent[1].body
    assert response.output_text == "Hello"
    assert response.unified_llm["used_fallback"] is True


@each(
    ("fields", "words"),
    [
        ({"previous_response_id": "resp_1"}, "cannot continue a stored response (previous_response_id)"),
        ({"conversation": {"id": "conv_1"}}, "cannot continue a stored conversation"),
        ({"background": True}, "cannot answer in the background"),
        ({"prompt": {"id": "pmpt_1"}, "input": None}, "cannot use a stored prompt"),
        ({"tools": [WEATHER, {"type": "web_search"}]}, "cannot run the tool web_search"),
        ({"tool_choice": {"type": "mcp", "server_label": "a"}}, "cannot choose the tool mcp"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "cannot take items of the type item_reference"),
        ({"input": [{"id": "msg_1"}]}, "cannot take items of the type item_reference"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
            "cannot take files by the identifier of an upload",
        ),
    ],
)
def test_what_only_openais_api_can_do_is_refused_elsewhere_and_skipped_in_failover(
    fields: Mapping[str, Any], words: str
) -> None:
    fields = {"input": "Hi", **fields}
    with answering(say("Hello"), "openai/gpt-5-mini").running() as targets:
        with pytest.raises(exceptions.UnsupportedOperationError) as caught:
            OpenAI().responses.create(model=CLAUDE, **fields)
        assert words in str(caught.value)
        assert targets.sent == []
        with pytest.raises(exceptions.ServiceUnavailableError) as failed:
            OpenAI(fallbacks=[CLAUDE], max_retries=0).responses.create(model="gpt-5-mini", **fields)
    assert [attempt.outcome for attempt in failed.value.attempts] == ["server", "skipped"]


@each(
    ("fields", "words"),
    [
        ({"input": 3}, "input must be a text, or a list of items"),
        ({"input": ["Hi"]}, "input must be a text, or a list of items"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0] of the type 'function_call_output'"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0] of the type 'message'"),
        ({"input": "Hi", "tools": "all"}, "tools must be a list of dicts"),
        ({"input": "Hi", "imput": "Hi"}, "did you mean 'input'"),
        ({"input": "Hi", "text": {"format": {"type": "json_schema"}}}, "response_format is"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(fields: Mapping[str, Any], words: str) -> None:
    with answering(say("Hello")).running() as targets, pytest.raises(exceptions.ValidationError) as caught:
        OpenAI().responses.create(model=CLAUDE, **fields)
    assert words in str(caught.value)
    assert targets.sent == []


def test_tools_are_called_and_answered_over_several_requests() -> None:
    state = ProviderState("anthropic", "anthropic", {"model": "claude-haiku-4-5", "blocks": ["signed"]})
    answer = LLMResponse(
        "", "claude-haiku-4-5", "anthropic", "tool_calls", reasoning="Hm.", provider_state=state,
        tool_calls=(ToolCall.parse("call_1", "weather", '{"city": "Oslo"}'),),
    )  # fmt: skip
    with answering(answer).running():
        response: Any = OpenAI().responses.create(model=CLAUDE, input="Hi", tools=[WEATHER])
    _, call = response.output
    assert (call.call_id, call.name, call.arguments) == ("call_1", "weather", '{"city": "Oslo"}')
    result = {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "clear"}]}
    items = [{"role": "user", "content": "Hi"}, *response.output, result]
    messages: list[Any] = []
    with answering(say("Done.")).running() as targets:
        keep(targets, messages)
        OpenAI().responses.create(model=CLAUDE, input=items, tools=[WEATHER])
        OpenAI().responses.create(model="gpt-5-mini", input=items, tools=[WEATHER])
    assert messages[0][1].provider_state == state
    assert [(call.id, call.raw_arguments) for call in messages[0][1].tool_calls] == [("call_1", '{"city": "Oslo"}')]
    kinds = [item.get("type") for item in targets.sent[1].body["input"]]
    assert kinds == [None, "function_call", "function_call_output"], "state of another provider is not sent to OpenAI"


def test_calls_of_custom_tools_have_their_input_as_text() -> None:
    answer = LLMResponse("", tool_calls=(ToolCall.parse("call_2", "run", '{"input": "ls"}'),))
    tool = {"type": "custom", "name": "run"}
    with answering(answer).running():
        response: Any = OpenAI().responses.create(model=DEEPSEEK, input="Hi", tools=[tool])
    (call,) = response.output
    assert (call.type, call.call_id, call.input) == ("custom_tool_call", "call_2", "ls")
    messages: list[Any] = []
    with answering(say("Done.")).running() as targets:
        keep(targets, messages)
        output = {"type": "custom_tool_call_output", "call_id": "call_2", "output": "a.txt"}
        OpenAI().responses.create(model=DEEPSEEK, input=[call, output], tools=[tool])
    assert [(call.id, call.arguments) for call in messages[0][0].tool_calls] == [("call_2", {"input": "ls"})]


def keep(targets: SentRequests, messages: list[Any]) -> None:
    answers = targets.answers

    def kept(request: Any, target: Target) -> list[Any]:
        messages.append(request.messages)
        return answers(request, target)

    targets.answers = kept


STREAM = [
    LLMChunk(reasoning="Hm"), LLMChunk(reasoning="."), LLMChunk("It "), LLMChunk("is."),
    LLMChunk(citations=(Citation("https://example.org/a"),)),
    LLMChunk(tool_calls=(ToolCallChunk(0, "call_1", "weather", '{"a"'),)),
    LLMChunk(tool_calls=(ToolCallChunk(1, "call_2", "run", '{"input":"l'),)),
    LLMChunk(tool_calls=(ToolCallChunk(0, arguments=": 1}"), ToolCallChunk(1, arguments='s"}'))),
    Done(LLMChunk(finish_reason="tool_calls", usage=Usage(1, 2, 3), model="deepseek-chat", provider="deepseek")),
]  # fmt: skip


def events_of(stream: Any) -> list[Any]:
    async def gather() -> list[Any]:
        return [event async for event in await stream]

    return asyncio.run(gather()) if hasattr(stream, "__await__") else [*stream]


def test_a_stream_of_another_api_has_the_events_of_this_one() -> None:
    tools: list[Any] = [WEATHER, {"type": "custom", "name": "run"}]
    for client in (OpenAI(), AsyncOpenAI()):
        with answering(STREAM).running():
            events = events_of(client.responses.create(model=DEEPSEEK, input="Hi", tools=tools, stream=True))
        assert [event.sequence_number for event in events] == [*range(len(events))]
        kinds = [event.type.removeprefix("response.") for event in events]
        assert kinds == [
            "created", "in_progress",
            "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
            "reasoning_summary_text.delta", "reasoning_summary_text.done", "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
            "output_text.annotation.added", "output_text.done", "content_part.done", "output_item.done",
            "output_item.added", "function_call_arguments.delta", "output_item.added", "function_call_arguments.delta",
            "function_call_arguments.done", "output_item.done",
            "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done",
            "completed",
        ]  # fmt: skip
        response = events[-1].response
        assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "custom_tool_call"]
        assert (response.output_text, response.usage.total_tokens) == ("It is.", 3)
        assert (response.output[2].arguments, response.output[3].input) == ('{"a": 1}', "ls")
        assert response.output[1].content[0].annotations[0].url == "https://example.org/a"
        assert events[0].response.id == response.id
        assert events[0].response.model == "deepseek-chat"
        begun = next(event for event in events if event.type == "response.content_part.added")
        assert (begun.part.text, begun.part.annotations) == ("", []), "an event stays as it was sent"
        assert response.unified_llm["served_by"] == DEEPSEEK


def test_an_empty_answer_streams_an_empty_message_and_a_refusal_its_events() -> None:
    with answering([Done(LLMChunk(finish_reason="length", model="m", provider="anthropic"))]).running():
        events = events_of(OpenAI().responses.create(model=CLAUDE, input="Hi", stream=True))
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.output[0].content[0].text == ""
    refused = [LLMChunk(refusal="No."), Done(LLMChunk(finish_reason="stop", model="m", provider="anthropic"))]
    with answering(refused).running():
        events = events_of(OpenAI().responses.create(model=CLAUDE, input="Hi", stream=True))
    assert "response.refusal.delta" in [event.type for event in events]
    assert events[-1].response.output[0].content[0].refusal == "No."


def test_the_events_of_a_target_with_the_api_are_passed_on() -> None:
    texts = ('{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response"}}',
             '{"type":"response.later","sequence_number":1,"deep":{"a":null}}', "[DONE]")  # fmt: skip
    end = '{"type":"response.completed","sequence_number":2,"response":{"id":"resp_1","output":[]}}'
    chunks = [LLMChunk("Hi", raw=texts), Done(LLMChunk(finish_reason="stop", raw=(end,)))]
    with SentRequests(answers=lambda _, __: chunks).running():
        events = events_of(OpenAI().responses.create(model="gpt-5-mini", input="Hi", stream=True))
    assert [event.type for event in events] == ["response.created", "response.later", "response.completed"]
    assert events[1].to_dict() == {"type": "response.later", "sequence_number": 1, "deep": {"a": None}}
    assert type(events[0]).__name__ == "ResponseCreatedEvent"


class City(pydantic.BaseModel):
    name: str


def test_an_answer_is_parsed_whole_and_streamed() -> None:
    with answering(say('{"name": "Oslo"}')).running() as targets:
        parsed = OpenAI().responses.parse(model=CLAUDE, input="Hi", text_format=City)
        later = asyncio.run(AsyncOpenAI().responses.parse(model=CLAUDE, input="Hi", text_format=City))
        with OpenAI().responses.stream(model=CLAUDE, input="Hi", text_format=City) as stream:
            events = [*stream]
            final = stream.get_final_response()

        async def streamed() -> Any:
            async with AsyncOpenAI().responses.stream(model=CLAUDE, input="Hi", text_format=City) as events:
                return await events.get_final_response()

        finals = [parsed, later, final, asyncio.run(streamed())]
    assert [response.output_parsed for response in finals] == [City(name="Oslo")] * 4
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert deltas[-1].snapshot == '{"name": "Oslo"}'
    assert next(event for event in events if event.type == "response.output_text.done").parsed == City(name="Oslo")
    assert "Oslo" not in repr(parsed)
    assert len(targets.sent) == 4


COUNTS: list[tuple[str, Callable[[Any], Any]]] = [("gpt-5-mini", lambda _: {"input_tokens": 7}), (CLAUDE, lambda _: 7)]


def test_tokens_of_an_input_are_counted_where_a_target_can() -> None:
    def answers(request: Any, target: Target) -> list[Any]:
        body = {"object": "response.input_tokens", "input_tokens": 7}
        return [codec_for(target.format).decode(request, target, body)]

    with SentRequests(answers=answers).running() as targets:
        for model in ("gpt-5-mini", CLAUDE):
            counted = OpenAI().responses.input_tokens.count(model=model, input="Hi", instructions="Be brief.")
            assert counted.to_dict() == {"object": "response.input_tokens", "input_tokens": 7}
            later = asyncio.run(AsyncOpenAI().responses.input_tokens.count(model=model, input="Hi"))
            assert later.input_tokens == 7
    assert targets.sent[0].path == "/v1/responses/input_tokens"
    assert targets.sent[0].body == {"model": "gpt-5-mini", "input": "Hi", "instructions": "Be brief."}
    assert targets.sent[2].path == "/v1/messages/count_tokens"


def test_stored_responses_are_read_cancelled_and_deleted() -> None:
    with answering(()).running() as targets:
        client, later = OpenAI(), AsyncOpenAI()
        assert client.responses.retrieve("resp_1", include=["a"]).output_text == "Hello"
        assert client.responses.cancel("resp_1").id == "resp_1"
        assert asyncio.run(later.responses.retrieve("resp_1")).id == "resp_1"
    assert [sent.url.partition("/v1")[2] for sent in targets.sent] == [
        "/responses/resp_1?include%5B%5D=a", "/responses/resp_1/cancel", "/responses/resp_1",
    ]  # fmt: skip

    def gone(request: Any, target: Target) -> list[Any]:
        return [codec_for(target.format).decode(request, target, '{"deleted": true}')]

    with SentRequests(answers=gone).running() as targets:
        client.responses.delete("resp_1")
    assert targets.sent[0].path == "/v1/responses/resp_1"


def test_the_events_of_a_stored_response_are_streamed_from_where_the_caller_is() -> None:
    events = [RawChunk('{"type":"response.completed","sequence_number":4,"response":{"id":"resp_1","output":[]}}')]
    with SentRequests(answers=lambda _, __: [*events, Done(RawResponse())]).running() as targets:
        found = events_of(OpenAI().responses.retrieve("resp_1", stream=True, starting_after=3))
    assert [event.type for event in found] == ["response.completed"]
    assert targets.sent[0].url.partition("/v1")[2] == "/responses/resp_1?starting_after=3&stream=true"
