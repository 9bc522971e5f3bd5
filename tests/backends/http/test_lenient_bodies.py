"""Bodies that strict JSON parsers refuse, and what follows an announced end: wire F9, F17."""

from __future__ import annotations

from typing import Any

from tests.support.each import each
from unified_llm import LLMClient
from unified_llm._backends.http.body_readers import FormatDetector, make_reader
from unified_llm._core.chunks import as_response
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm.types import LLMChunk, LLMRequest, LLMResponse, Message

MODELS = {
    "openai_chat": "openai/gpt-4o",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "cohere": "cohere/command-a-03-2025",
    "ollama": "ollama/llama3.2",
    "openai_responses": "openai/gpt-5-pro",
}


def target(name: str) -> Target:
    return LLMClient(MODELS[name], api_key="sk-CANARY-of-bodies").targets[0]


def events_of(name: str, first: str, second: str) -> bytes:
    """Return a stream whose text is these two JSON strings, as each format has it."""
    match name:
        case "anthropic":
            delta = '{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{}"}}}}'
            ends = ['{"type":"message_delta","delta":{"stop_reason":"end_turn"}}', '{"type":"message_stop"}']
        case "gemini":
            delta = '{{"candidates":[{{"content":{{"parts":[{{"text":"{}"}}]}}}}]}}'
            ends = ['{"candidates":[{"finishReason":"STOP"}]}']
        case "cohere":
            delta = '{{"type":"content-delta","index":0,"delta":{{"message":{{"content":{{"text":"{}"}}}}}}}}'
            ends = ['{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}']
        case "ollama":
            delta = '{{"message":{{"content":"{}"}},"done":false}}'
            ends = ['{"message":{"content":""},"done":true,"done_reason":"stop"}']
        case "openai_responses":
            delta = '{{"type":"response.output_text.delta","item_id":"i","delta":"{}"}}'
            ends = ['{"type":"response.completed","response":{"output":[]}}']
        case _:
            delta = '{{"choices":[{{"index":0,"delta":{{"content":"{}"}}}}]}}'
            ends = ['{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}', "[DONE]"]
    events = [delta.format(first), delta.format(second), *ends]
    lines = "".join(f"{event}\n" if name == "ollama" else f"data: {event}\n\n" for event in events)
    return lines.encode()


def read(name: str, body: bytes, *, stream: bool) -> list[Any]:
    request = LLMRequest((Message.user("x"),), stream=stream)
    where = target(name)
    headers = {"content-type": "text/event-stream"} if stream else {}
    reader = make_reader(codec_for(where.format), request, where, status=200, headers=headers)
    assert isinstance(reader, FormatDetector)
    inner = reader.detect(body)
    assert inner is not None
    return [*inner.feed(reader.buffered), *inner.finish(incomplete=False)]


def joined(events: list[Any]) -> LLMResponse:
    end = next(event for event in events if not isinstance(event, LLMChunk))
    assert isinstance(end, Done), end
    if isinstance(end.value, LLMResponse):
        return end.value
    chunks = [event for event in events if isinstance(event, LLMChunk)]
    for chunk in chunks:
        chunk.content.encode()
    return as_response(chunks, end.value)


@each("name", MODELS)
def test_f9_halves_of_a_character_are_joined_over_chunks_or_replaced(name: str) -> None:
    for first, second, expected in (
        ("hi \\ud83d", "\\ude00!", "hi 😀!"),
        ("hi \\ud83d", "there", "hi \ufffdthere"),
        ("hi", " \\ude00", "hi \ufffd"),
        ("a", "b\\ud83d", "ab\ufffd"),
        ("\\ud83d", "\\ude00\\ud83d", "😀\ufffd"),
    ):
        assert joined(read(name, events_of(name, first, second), stream=True)).content == expected
    # A stream in answer to a request for a whole response.
    if name != "ollama":
        assert joined(read(name, events_of(name, "\\ud83d", "\\ude00"), stream=False)).content == "😀"


def test_f9_a_whole_body_with_half_a_character_is_read() -> None:
    body = b'{"choices":[{"message":{"content":"a \\ud83d b\n"},"finish_reason":"stop"}]}'
    assert joined(read("openai_chat", body, stream=False)).content == "a \ufffd b\n"


def test_f9_arguments_are_joined_by_call() -> None:
    call = '{{"choices":[{{"delta":{{"tool_calls":[{{"index":{},"function":{{"arguments":"{}"}}}}]}}}}]}}'
    begin = '{{"choices":[{{"delta":{{"tool_calls":[{{"index":{},"id":"c{}","function":{{"name":"f"}}}}]}}}}]}}'
    end = '{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}'
    events = [
        begin.format(0, 0), begin.format(1, 1),
        call.format(0, '{\\"q\\":\\"\\ud83d'), call.format(1, '{\\"q\\":\\"\\ud83d'),
        call.format(0, '\\ude00\\"}'), call.format(1, '\\"}'), end,
    ]  # fmt: skip
    answer = joined(read("openai_chat", "".join(f"data: {event}\n\n" for event in events).encode(), stream=True))
    assert [dict(call.arguments) for call in answer.tool_calls] == [{"q": "😀"}, {"q": "\ufffd"}]


@each("name", [name for name in MODELS if name != "ollama"])
def test_f17_what_follows_the_announced_end_takes_nothing_back(name: str) -> None:
    stream = events_of(name, "hi", "").removesuffix(b"data: [DONE]\n\n")
    if name == "anthropic":
        stream = stream.removesuffix(b'data: {"type":"message_stop"}\n\n')
    for after in ("[DONE]", "[1]", "nonsense", '{"error":{"message":"late","code":500}}', "<html>"):
        assert joined(read(name, stream + f"data: {after}\n\n".encode(), stream=True)).content == "hi", after


def test_f17_an_error_before_the_end_is_an_error_also_where_each_chunk_has_a_finish_reason() -> None:
    chunk = '{{"choices":[{{"delta":{{"content":"{}"}},"finish_reason":"stop"}}]}}'
    events = [chunk.format("a"), chunk.format("b"), '{"error":{"message":"broke","code":500}}']
    out = read("openai_chat", "".join(f"data: {event}\n\n" for event in events).encode(), stream=True)
    end = next(event for event in out if not isinstance(event, LLMChunk))
    assert isinstance(end, Failure)
    assert end.kind == "server"


def test_bodies_that_are_strict_json_are_not_searched_for_halves() -> None:
    answer = joined(read("openai_chat", events_of("openai_chat", "é 😀", "\\u00e9"), stream=True))
    assert answer.content == "é 😀é"
