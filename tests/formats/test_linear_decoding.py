"""Decoding takes time in proportion to what a server sends, and what is kept of a stream is counted.

Lines of Python that are executed are counted, not seconds: twice the events must not take much more than twice the
lines. Texts are copied without a line of Python, so those that a decoder keeps must not grow: fragments are joined at
the end.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.support.codec_checks import target
from tests.support.counted_work import lines_of
from tests.support.each import each
from unified_llm._core.codec import Decoder
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.response_limits import OversizedResponseError, size_of_chunk
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._formats.gemini.cited_text import CitedText
from unified_llm._formats.history import Identifiers, UniqueNames, dedupe_call_ids
from unified_llm._formats.response_fields import read_calls
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types import LLMChunk, LLMRequest, Message, ModelsRequest, ToolCall

pytestmark = pytest.mark.thorough

CHAT = LLMRequest((Message.user("Hello"),), stream=True)
Events = Callable[[int], dict[str, Any]]


def texts_in(item: object) -> Iterator[str]:
    """Yield the texts that an object holds."""
    pending, seen = [item], set[int]()
    while pending:
        current = pending.pop()
        if id(current) in seen or isinstance(current, (type, Target)) or callable(current):
            continue
        seen.add(id(current))
        if isinstance(current, str):
            yield current
        else:
            pending += gc.get_referents(current)


def chat_delta(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}]}


def call_fragment(index: int, arguments: str, **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": fields.pop("name")} if "name" in fields else {})}
    return {"index": index, "function": function, **fields}


def block_delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def cohere(kind: str, index: int, **message: Any) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": message}}


def part(**fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [fields]}}]}


CITED = {"citationMetadata": {"citations": [{"startIndex": 0, "endIndex": 5, "uri": "u", "text": "absent"}]}}

# Name: the format, whether anything is kept that is in no chunk, and the n-th event.
STREAMS: dict[str, tuple[str, bool, Events]] = {
    "text": ("openai_chat", False, lambda n: chat_delta(content=f"{n:50}")),
    "reasoning": ("openai_chat", False, lambda n: chat_delta(reasoning_content=f"{n:50}")),
    "arguments": (
        "openai_chat",
        False,
        lambda n: chat_delta(tool_calls=[call_fragment(0, f"{n:50}", **({} if n else {"id": "a", "name": "f"}))]),
    ),
    "calls of one identifier": (
        "openai_chat", False, lambda n: chat_delta(tool_calls=[call_fragment(n, "{}", id="same", name="f")])
    ),
    "a call without a name": ("openai_chat", True, lambda n: chat_delta(tool_calls=[call_fragment(0, f"{n:50}")])),
    "unnamed calls": ("openai_chat", True, lambda n: chat_delta(tool_calls=[call_fragment(n, "{}", id=f"c{n}")])),
    "unnamed calls, each the last": (
        "openai_chat",
        False,
        lambda n: {
            "choices": [{"delta": {"tool_calls": [call_fragment(n, "{}")]}, "finish_reason": "tool_calls"}]
        },
    ),
    "one reasoning detail": (
        "openai_chat",
        True,
        lambda n: chat_delta(reasoning_details=[{"type": "reasoning.text", "index": 0, "text": f"{n:50}"}]),
    ),
    "reasoning details": (
        "openai_chat",
        True,
        lambda n: chat_delta(reasoning_details=[{"type": "reasoning.encrypted", "index": n, "data": f"{n:50}"}]),
    ),
    "fields of a reasoning detail": (
        "openai_chat",
        True,
        lambda n: chat_delta(reasoning_details=[{"type": "reasoning.text", "index": 0, f"field {n:50}": n}]),
    ),
    "block text": ("anthropic", False, lambda n: block_delta(0, type="text_delta", text=f"{n:50}")),
    "block thinking": ("anthropic", False, lambda n: block_delta(0, type="thinking_delta", thinking=f"{n:50}")),
    "blocks": (
        "anthropic",
        True,
        lambda n: {"type": "content_block_start", "index": n, "content_block": {"type": "text", "text": ""}},
    ),
    "citations": (
        "anthropic", True, lambda n: block_delta(0, type="citations_delta", citation={"url": f"{n:50}", "title": "t"})
    ),
    "ends of a block": (
        "anthropic",
        True,
        lambda n: block_delta(0, type="citations_delta", citation={"url": "u", "title": "t"})
        if n % 2 == 0
        else {"type": "content_block_stop", "index": 0},
    ),
    "arguments of a built-in tool": (
        "anthropic", True, lambda n: block_delta(0, type="input_json_delta", partial_json=f"{n:50}")
    ),
    "usage": ("anthropic", False, lambda n: {"type": "message_delta", "usage": {f"tokens {n:50}": n}}),
    "parts": ("gemini", False, lambda n: part(text=f"{n:50}")),
    "signed parts": ("gemini", True, lambda n: part(text="x", thoughtSignature=f"{n:50}")),
    "unknown parts": ("gemini", True, lambda n: part(executableCode={"code": f"{n:50}"})),
    "calls": ("gemini", True, lambda n: part(functionCall={"name": "f", "args": {"a": f"{n:50}"}})),
    "thoughts": ("gemini", False, lambda n: part(text=f"{n:50}", thought=True)),
    "Ollama's text": ("ollama", False, lambda n: {"message": {"content": f"{n:50}", "thinking": f"{n:50}"}}),
    "Cohere's text": ("cohere", False, lambda n: cohere("content-delta", 0, content={"text": f"{n:50}"})),
    "Cohere's blocks": ("cohere", True, lambda n: cohere("content-delta", n, content={"text": "x"})),
    "Cohere's citations": (
        "cohere",
        True,
        lambda n: cohere("content-delta", n, content={"text": "x"})
        if n % 2 == 0
        else cohere("citation-start", n, citations={"content_index": n, "start": 0, "end": 1, "text": "x"}),
    ),
    "Cohere's plan": ("cohere", False, lambda n: cohere("tool-plan-delta", 0, tool_plan=f"{n:50}")),
    "Responses' text": (
        "openai_responses", False, lambda n: {"type": "response.output_text.delta", "item_id": "i", "delta": f"{n:50}"}
    ),
    "texts of many items": (
        "openai_responses", True, lambda n: {"type": "response.output_text.delta", "item_id": f"{n:50}", "delta": "x"}
    ),
    "items": (
        "openai_responses",
        True,
        lambda n: {"type": "response.output_item.done", "item": {"type": "reasoning", "encrypted_content": f"{n:50}"}},
    ),
    "arguments, whole again and again": (
        "openai_responses",
        True,
        lambda n: {"type": "response.output_item.added", "item": {"type": "function_call", "id": "i", "name": "f"}}
        if n == 0
        else {"type": "response.function_call_arguments.delta", "item_id": "i", "delta": f"{n:50}"}
        if n % 2
        else {"type": "response.function_call_arguments.done", "item_id": "i", "arguments": "x"},
    ),
}  # fmt: skip


def decode(case: str, events: int) -> tuple[Decoder, list[LLMChunk]]:
    """Decode so many events; return the decoder and the chunks."""
    name, _, make = STREAMS[case]
    decoder = codec_for(name).decoder(CHAT, target("openai" if name.startswith("openai") else name))
    chunks: list[LLMChunk] = []
    for number in range(events):
        for event in decoder.feed(ServerSentEvent(json.dumps(make(number)))):
            assert isinstance(event, LLMChunk)
            chunks.append(event)
    return decoder, chunks


@pytest.mark.parametrize("case", STREAMS)
def test_twice_the_events_take_about_twice_the_work(case: str) -> None:
    once, twice = (lines_of(partial(decode, case, events)) for events in (60, 120))
    assert twice < 2.3 * once


@each("case", STREAMS)
def test_fragments_are_not_joined_before_the_end(case: str) -> None:
    decoder, _ = decode(case, 100)
    assert max(map(len, texts_in(decoder)), default=0) < 200


@each("case", STREAMS)
def test_what_is_kept_beside_the_chunks_is_counted(case: str) -> None:
    (few, _), (many, chunks) = decode(case, 50), decode(case, 150)
    kept = sum(map(sys.getsizeof, texts_in(many))) - sum(map(sys.getsizeof, texts_in(few)))
    counted = many.kept - few.kept
    assert counted + sum(map(size_of_chunk, chunks)) >= 0.5 * kept
    assert (counted > 0) == STREAMS[case][1]


def test_names_are_numbered_in_linear_time() -> None:
    def number(count: int) -> None:
        names = UniqueNames()
        for _ in range(count):
            names.make("same")
        for index in range(count):
            names.make(f"taken_{index}")
        for _ in range(count):
            names.make("taken")
            names.make("x" * 60)

    assert lines_of(lambda: number(1000)) < 2.1 * lines_of(lambda: number(500))


def test_numbered_names_stay_unique_beside_names_that_look_like_them() -> None:
    names = UniqueNames()
    made = [names.make(name) for name in ("a", "a_2", "a", "a", "a_2", "a_3", "a")]
    assert made == ["a", "a_2", "a_3", "a_4", "a_2_2", "a_3_2", "a_5"]
    long = "x" * 60
    assert [names.make(long) for _ in range(3)] == [long, "x" * 56 + "_2", "x" * 56 + "_3"]


def test_calls_of_a_history_that_share_an_identifier_are_renamed_in_linear_time() -> None:
    def rename(count: int) -> None:
        call = ToolCall("same", "f")
        dedupe_call_ids([Message("assistant", tool_calls=(call,) * count)])

    assert lines_of(lambda: rename(600)) < 2.2 * lines_of(lambda: rename(300))


def test_a_response_has_no_more_than_32768_calls() -> None:
    identifiers = Identifiers()
    for _ in range(32_768):
        identifiers.take(None)
    with pytest.raises(OversizedResponseError):
        identifiers.take(None)
    unused = Identifiers()
    with pytest.raises(OversizedResponseError):
        list(read_calls([{"function": {"name": "f"}}] * 32_769, unused))
    assert len(unused) == 0


INDEXED: dict[str, Events] = {
    "openai_chat": lambda index: chat_delta(tool_calls=[call_fragment(index, "{}")]),
    "anthropic": lambda index: block_delta(index, type="text_delta", text="x"),
    "cohere": lambda index: cohere("content-delta", index, content={"text": "x"}),
    "openai_responses": lambda index: {"type": "response.output_text.delta", "output_index": index, "delta": "x"},
}


@pytest.mark.parametrize("name", INDEXED)
def test_indexes_of_a_server_are_no_large_integers_since_those_may_have_equal_hashes(name: str) -> None:
    step = 2**61 - 1  # the hash of each multiple is 0
    decoder = codec_for(name).decoder(CHAT, target("openai" if name.startswith("openai") else name))
    for number in range(1, 50):
        decoder.feed(ServerSentEvent(json.dumps(INDEXED[name](number * step))))
    assert decoder.kept < 5000  # a single entry


def test_citations_of_one_answer_take_linear_time() -> None:
    def read(count: int) -> None:
        citations = [{"content_index": index, "start": 0, "end": 1, "text": "x"} for index in range(count)]
        content = [{"type": "text", "text": "x"}] * count
        body = {"message": {"content": content, "citations": citations}, "finish_reason": "COMPLETE"}
        done = codec_for("cohere").decode(CHAT, target("cohere"), body)
        assert isinstance(done, Done)
        assert [citation.start for citation in done.value.citations] == list(range(count))

    assert lines_of(partial(read, 400)) < 2.2 * lines_of(partial(read, 200))


def test_providers_of_models_with_one_name_are_read_once() -> None:
    def read(count: int) -> None:
        models = [{"id": "m"}] * count + [{"id": "m", "providers": [{"context_length": 8}] * count}]
        done = codec_for("huggingface").decode(ModelsRequest(), target("huggingface"), {"data": models})
        assert isinstance(done, Done)
        assert {model.context_window for model in done.value[0]} == {8}

    assert lines_of(partial(read, 400)) < 2.2 * lines_of(partial(read, 200))


def test_a_page_has_no_more_than_50000_models() -> None:
    def read(count: int) -> Done | Failure:
        return codec_for("openai_chat").decode(ModelsRequest(), target(), {"data": [{"id": "m"}] * count})

    assert isinstance(read(50_000), Done)
    failure = read(50_001)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.detail) == ("oversized", "More than 50000 models in one response.")


def test_segments_of_a_long_text_are_looked_for_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_llm._formats.gemini.cited_text._MAX_WORK", 10_000)
    text = CitedText()
    text.append("é" * 900 + "end")
    segments = [text.locate({"startIndex": 1800, "endIndex": 1803, "text": "end"}) for _ in range(20)]
    assert segments[0] == (900, 903)
    assert segments[-1] == (None, None)
    assert segments.count((900, 903)) == 5
