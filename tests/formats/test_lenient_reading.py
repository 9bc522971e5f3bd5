"""What servers send besides the documented forms of OpenAI's format: wire F3, F13, F16 and the smaller findings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.codec_checks import plain_target, target
from tests.support.each import each
from unified_llm._core.chunks import as_chunks, as_response
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types import ImagePart, LLMRequest, LLMResponse, Message, Tool, ToolCall
from unified_llm.types.content import FilePart

RESPONSES = Target("openai", "gpt-5", "openai_responses", "https://example.test/v1")
CODE = Tool("code", builtin={"type": "custom", "name": "code"})


def whole(body: Any, where: Target | None = None) -> LLMResponse:
    where = where or plain_target()
    outcome = codec_for(where.format).decode(LLMRequest((), tools=(CODE,)), where, body)
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.value, LLMResponse)
    return outcome.value


def streamed(events: list[Any], where: Target | None = None) -> LLMResponse:
    where = where or plain_target()
    decoder = codec_for(where.format).decoder(LLMRequest((), stream=True), where)
    out = [item for event in events for item in decoder.feed(ServerSentEvent(json.dumps(event)))]
    if not out or not isinstance(out[-1], Done | Failure):
        out.append(decoder.finish())
    *chunks, end = out
    assert isinstance(end, Done), end
    return as_response(chunks, end.value)  # type: ignore[arg-type]


def message(reason: str = "stop", **fields: Any) -> Any:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **fields}, "finish_reason": reason}]}


def delta(reason: str | None = None, **fields: Any) -> Any:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


def function(arguments: Any, name: str = "now") -> Any:
    return {"index": 0, "id": "a", "type": "function", "function": {"name": name, "arguments": arguments}}


def flat(answer: LLMResponse) -> list[tuple[str, str, Any, str | None]]:
    return [(call.id, call.name, dict(call.arguments), call.error) for call in answer.tool_calls]


@each(
    ("arguments", "meant"),
    [
        ("null", {}),  # F3
        (" null ", {}),
        (None, {}),
        ('{"x": "a\nb\tc"}', {"x": "a\nb\tc"}),  # F13
        ('{"x": null}', {"x": None}),
        ('"{\\"x\\": 1}"', {"x": 1}),
        ('{"x": "\\ud83d"}', {"x": "\ufffd"}),  # F9
        ('{"x": Infinity}', {"x": float("inf")}),
    ],
)
def test_f3_f13_arguments_are_read_as_models_write_them(arguments: Any, meant: Any) -> None:
    call = function(arguments)
    expected = [("a", "now", meant, None)]
    assert flat(whole(message("tool_calls", tool_calls=[call]))) == expected
    assert flat(streamed([delta(tool_calls=[call]), delta("tool_calls")])) == expected
    item = {"type": "function_call", "call_id": "a", **call["function"]}
    end = {"type": "response.completed", "response": {"status": "completed", "output": [item]}}
    assert flat(whole(end["response"], RESPONSES)) == expected
    assert flat(streamed([{"type": "response.output_item.done", "item": item}, end], RESPONSES)) == expected


def test_f3_a_framework_that_parses_fragments_gets_no_null() -> None:
    where = plain_target()
    for call in (function("null"), function("")):
        answer = whole(message("tool_calls", tool_calls=[call]))
        chunk, _ = as_chunks(answer)
        assert chunk is not None
        assert chunk.tool_calls[0].arguments in {"", "{}"}
        decoder = codec_for(where.format).decoder(LLMRequest((), stream=True), where)
        (first,) = decoder.feed(ServerSentEvent(json.dumps(delta(tool_calls=[call]))))
        assert not isinstance(first, Done | Failure)
        assert first.tool_calls[0].arguments == ""
    parts = [
        function('{"x": '),
        {"index": 0, "function": {"arguments": "null"}},
        {"index": 0, "function": {"arguments": "}"}},
    ]
    assert flat(streamed([*(delta(tool_calls=[part]) for part in parts), delta("stop")])) == [
        ("a", "now", {"x": None}, None)
    ]


def test_f16_a_call_of_a_custom_tool_is_returned_with_its_input_and_goes_back() -> None:
    text = 'print("1")\n"}'
    arguments = {"input": text}
    custom = {"id": "c1", "type": "custom", "custom": {"name": "code", "input": text}}
    pieces = [
        {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "code", "input": text[:7]}},
        {"index": 0, "custom": {"input": text[7:]}},
    ]
    expected = [("c1", "code", arguments, None)]
    assert flat(whole(message("tool_calls", tool_calls=[custom]))) == expected
    chunks = [delta(tool_calls=[piece]) for piece in pieces]
    assert flat(streamed([*chunks, delta("tool_calls")])) == expected
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "code", "input": text}
    response = {"status": "completed", "output": [item], "model": "gpt-5"}
    answer = whole(response, RESPONSES)
    assert (flat(answer), answer.finish_reason) == (expected, "tool_calls")
    added = {"type": "response.output_item.added", "output_index": 0, "item": {**item, "input": ""}}
    deltas = [
        {"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": part}
        for part in (text[:3], text[3:])
    ]
    done = {"type": "response.custom_tool_call_input.done", "output_index": 0, "input": text}
    end = {"type": "response.completed", "response": response}
    for events in ([added, *deltas, done, end], [added, *deltas, end], [added, done, end], [end]):
        assert flat(streamed(events, RESPONSES)) == expected
    history = (Message.user("x"), Message.assistant(tool_calls=answer.tool_calls), Message.tool("1", "c1"))
    body = json.loads(codec_for("openai_responses").encode(LLMRequest(history, tools=(CODE,)), RESPONSES).body)
    assert body["input"][1:] == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "code", "input": text},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "1"},
    ]
    chat = Tool("code", builtin={"type": "custom", "custom": {"name": "code"}})
    body = json.loads(codec_for("openai_chat").encode(LLMRequest(history, tools=(chat,)), plain_target()).body)
    assert body["messages"][1]["tool_calls"] == [custom]
    body = json.loads(codec_for("openai_chat").encode(LLMRequest(history), plain_target()).body)  # a fallback
    assert json.loads(body["messages"][1]["tool_calls"][0]["function"]["arguments"]) == arguments


def test_f16_a_custom_tool_is_offered_and_chosen_in_the_form_of_each_api() -> None:
    rules = {"syntax": "regex", "definition": "a+"}
    chat = {"type": "custom", "custom": {"name": "code", "format": {"type": "grammar", "grammar": rules}}}
    responses = {"type": "custom", "name": "code", "format": {"type": "grammar", **rules}}
    for written in (chat, responses):
        request = LLMRequest((Message.user("x"),), tools=(Tool.from_dict(written),), tool_choice="code")
        body = json.loads(codec_for("openai_chat").encode(request, plain_target()).body)
        assert (body["tools"], body["tool_choice"]) == ([chat], {"type": "custom", "custom": {"name": "code"}})
        body = json.loads(codec_for("openai_responses").encode(request, RESPONSES).body)
        assert (body["tools"], body["tool_choice"]) == ([responses], {"type": "custom", "name": "code"})


def test_a_whole_answer_in_one_event_is_read() -> None:
    assert streamed([message(content="hi")]).content == "hi"
    assert flat(streamed([message("tool_calls", content=None, tool_calls=[function("{}")])])) == [
        ("a", "now", {}, None)
    ]
    # Servers that send the whole again at the end have streamed it before.
    assert streamed([delta(content="hi"), message(content="hi")]).content == "hi"


def test_the_function_call_of_older_servers_is_read_in_streams() -> None:
    events = [
        delta(function_call={"name": "now", "arguments": ""}),
        delta(function_call={"arguments": '{"x":'}),
        delta(function_call={"arguments": "1}"}),
        delta("function_call"),
    ]
    answer = streamed(events)
    assert [(call.name, dict(call.arguments)) for call in answer.tool_calls] == [("now", {"x": 1})]
    assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize("index", [{"index": 0}, {}])
def test_parallel_calls_that_interleave_are_kept_apart_by_their_ids(index: Any) -> None:
    def part(identifier: str, arguments: str, **fields: Any) -> Any:
        return {**index, "id": identifier, "function": {"arguments": arguments, **fields}}

    fragments = [
        part("a", "", name="f"),
        part("b", "", name="g"),
        part("a", '{"x":'),
        part("b", '{"y":'),
        part("a", "1}"),
        part("b", "2}"),
    ]
    answer = streamed([*(delta(tool_calls=[fragment]) for fragment in fragments), delta("tool_calls")])
    assert flat(answer) == [("a", "f", {"x": 1}, None), ("b", "g", {"y": 2}, None)]


def test_an_answer_of_sound_or_images_alone_is_no_empty_one() -> None:
    audio = {"id": "audio_1", "data": "AAAA", "transcript": "Hello."}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert whole(message(content=None, audio=audio)).content == "Hello."
    assert whole(message(content=None, audio={"id": "audio_1", "data": "AAAA"})).finish_reason == "stop"
    assert whole(message(content="", images=[image])).finish_reason == "stop"
    assert (
        streamed(
            [delta(audio={"id": "a", "transcript": "Hel"}), delta(audio={"transcript": "lo."}), delta("stop")]
        ).content
        == "Hello."
    )
    assert streamed([delta(images=[image]), delta("stop")]).finish_reason == "stop"


def test_common_names_of_image_types_are_sent_as_registered() -> None:
    for provider in ("openai", "gemini", "anthropic", "cohere"):
        where = target(provider)
        for part in (ImagePart(data=b"\xff\xd8\xff", media_type="image/jpg"), FilePart(b"\xff\xd8\xff", "image/pjpeg")):
            if isinstance(part, FilePart) and provider not in {"gemini", "anthropic"}:
                continue
            request = LLMRequest((Message("user", (part,)),))
            text = codec_for(where.format).encode(request, where).body.decode()
            assert "image/jpeg" in text, provider
            assert "jpg" not in text


def test_arguments_of_frameworks_that_are_no_json_become_null() -> None:
    call = ToolCall.from_arguments("a", "f", {"x": float("nan"), "y": [1.5, float("inf")]})
    assert (dict(call.arguments), call.raw_arguments) == ({"x": None, "y": [1.5, None]}, '{"x":null,"y":[1.5,null]}')


def test_calls_of_openai_s_own_tools_that_the_caller_runs_are_returned() -> None:
    """Wire F16: what the caller has to run is a call, not a response that says nothing."""
    action = {"type": "exec", "command": ["ls"]}
    item = {"type": "local_shell_call", "id": "l1", "call_id": "c1", "status": "completed", "action": action}
    response = {"status": "completed", "output": [item]}
    expected = [("c1", "local_shell", {"action": action}, None)]
    assert flat(whole(response, RESPONSES)) == expected
    end = {"type": "response.completed", "response": response}
    added = {"type": "response.output_item.added", "item": {**item, "action": {}}}
    for events in ([added, {"type": "response.output_item.done", "item": item}, end], [end]):
        assert flat(streamed(events, RESPONSES)) == expected
