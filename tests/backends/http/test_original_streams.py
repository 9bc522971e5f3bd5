"""Streams that answer requests as programs wrote them: every event is passed on, in the chunks and at the end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tests.support.each import each
from unified_llm import LLMClient
from unified_llm._backends.http.body_reader import BodyReader
from unified_llm._backends.http.body_readers import make_reader
from unified_llm._config.llm_config import LLMConfig
from unified_llm._core.exchange import AnyEvent
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.response_limits import response_limits
from unified_llm._formats.codecs import codec_for
from unified_llm.types import LLMChunk, LLMRequest, Message
from unified_llm.types.requests import OriginalRequest

ASKED = LLMRequest((Message.user("Hi"),), stream=True, original=OriginalRequest("openai_chat", {}))
TARGET = LLMClient(LLMConfig(model="openai/gpt-4o", api_key="sk-a-key-of-a-test")).targets[0]


def data(delta: dict[str, Any], index: int = 0, reason: str | None = None, **others: Any) -> str:
    choices = [{"index": index, "delta": delta, "finish_reason": reason}]
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": choices, **others})


CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
TEXTS = [
    data({"role": "assistant", "content": ""}, obfuscation="x"),
    data({"content": "Hel"}),
    data({"content": "lo"}),
    data({"content": "second"}, 1),
    data({"tool_calls": [CALL]}),
    data({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
    data({}, 0, "tool_calls"),
    json.dumps({"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}),
    "[DONE]",
]


def read(texts: list[str], asked: LLMRequest = ASKED, piece: int | None = None) -> list[AnyEvent]:
    body = "".join(f"data: {text}\n\n" for text in texts).encode()
    reader: Any = make_reader(codec_for(TARGET.format), asked, TARGET, status=200, headers={})
    events: list[AnyEvent] = []
    for start in range(0, len(body), piece or len(body)):
        part = body[start : start + (piece or len(body))]
        if (found := getattr(reader, "detect", None)) is not None:
            detected: BodyReader | None = found(part)
            if detected is None:
                continue
            part, reader = reader.buffered, detected
        events += reader.feed(part)
    return events if events and isinstance(events[-1], (Done, Failure)) else [*events, *reader.finish(incomplete=False)]


def texts_of(events: list[AnyEvent]) -> list[str]:
    chunks = [event.value if isinstance(event, Done) else event for event in events]
    return [text for chunk in chunks if isinstance(chunk, LLMChunk) for text in chunk.raw]


@each("piece", [None, 7, 100])
def test_every_event_is_in_one_chunk_or_in_the_end(piece: int | None) -> None:
    events = read(TEXTS, piece=piece)
    assert texts_of(events) == TEXTS
    assert isinstance(events[-1], Done)
    first = events[0]
    assert isinstance(first, LLMChunk)
    assert first.content == "Hel"
    assert first.raw == (TEXTS[0], TEXTS[1])


def test_a_stream_without_its_last_event_is_passed_on_as_it_is() -> None:
    assert texts_of(read(TEXTS[:-1])) == TEXTS[:-1]
    assert texts_of(read(TEXTS[:-2], replace(ASKED, logprobs=True))) == TEXTS[:-2]


def test_other_requests_keep_no_events() -> None:
    events = read(TEXTS, replace(ASKED, original=None))
    assert [event.raw for event in events if isinstance(event, LLMChunk)] == [None] * (len(events) - 1)


def test_a_stream_that_was_not_asked_for_is_joined() -> None:
    end = read(TEXTS, replace(ASKED, stream=False))[-1]
    assert isinstance(end, Done)
    assert end.value.content == "Hello"
    assert end.value.raw is None


def test_events_that_say_nothing_are_not_kept_without_end() -> None:
    small = replace(TARGET, max_response_bytes=2_000)
    size = response_limits(ASKED, small).size
    reader: Any = make_reader(codec_for(TARGET.format), ASKED, small, status=200, headers={})
    reader = reader.detect(b"data: ")
    nothing = f"data: {data({}, padding='x' * 500)}\n\n".encode()
    events = [event for _ in range(size // 400) for event in reader.feed(nothing)]
    assert isinstance(events[0], Failure)
    assert events[0].kind == "oversized"
