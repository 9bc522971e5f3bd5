"""What the adapters do for frameworks whose work for each chunk grows with the response."""

from __future__ import annotations

import pytest

from unified_llm._adapters.fragments import MAX_STREAMED_CALLS, FragmentMerger, Growth, check_calls
from unified_llm.exceptions import GenerationError
from unified_llm.types import Citation, LLMChunk, ToolCallChunk


def merged(chunks: list[LLMChunk]) -> list[LLMChunk]:
    merger = FragmentMerger()
    return [result for chunk in chunks for result in merger.feed(chunk)]


def work(chunks: list[LLMChunk]) -> int:
    """Return the characters that are copied when reasoning and arguments are added up, chunk by chunk."""
    total = copied = 0
    for chunk in chunks:
        length = len(chunk.reasoning) + sum(len(call.arguments) for call in chunk.tool_calls)
        total += length
        copied += total if length else 0
    return copied


@pytest.mark.parametrize("length", [10_000, 20_000])
def test_the_lengths_of_all_texts_that_are_processed_are_in_proportion_to_the_last(length: int) -> None:
    growth = Growth(parts=64)
    processed = [growth.length for _ in range(length) if growth.add(3)]
    assert sum(processed) < 70 * 3 * length
    assert 3 * length - processed[-1] <= 3 * length // 64 + 3


def test_short_texts_are_processed_for_each_fragment() -> None:
    growth = Growth(parts=2, short=100)
    assert [growth.add(10) for _ in range(14)] == [True] * 10 + [False] * 4


def test_what_has_not_grown_is_not_processed_again() -> None:
    growth = Growth(parts=64)
    assert [growth.add(length) for length in (0, 5, 0, 0, 5)] == [True, True, False, False, True]


CHUNKS = [
    LLMChunk(reasoning="x" * 30, content="word "),
    LLMChunk(tool_calls=(ToolCallChunk(0, arguments='"y",'),)),
    LLMChunk(citations=(Citation("url"),)),
]


def test_a_short_stream_is_passed_on_as_it_is() -> None:
    chunks = CHUNKS * 20
    assert merged(chunks) == chunks


@pytest.mark.parametrize(("kind", "length"), [(0, 30), (1, 4), (2, 1)])
def test_a_long_stream_has_fewer_chunks_and_the_same_content(kind: int, length: int) -> None:
    begin = LLMChunk(tool_calls=(ToolCallChunk(0, "id", "name", "["),))
    last = LLMChunk(finish_reason="stop")
    chunks = [begin, *[CHUNKS[kind]] * 20_000, last]
    results = merged(chunks)
    assert results[0] == begin
    assert results[-1] == last
    short = 64 * 1024  # up to which every fragment is passed on
    assert work(results) < short**2 / length + 70 * 20_000 * length
    for name in ("content", "reasoning"):
        assert "".join(getattr(c, name) for c in results) == "".join(getattr(c, name) for c in chunks)
    arguments = "".join(call.arguments for chunk in results for call in chunk.tool_calls)
    assert arguments == "".join(call.arguments for chunk in chunks for call in chunk.tool_calls)
    assert sum(len(chunk.citations) for chunk in results) == sum(len(chunk.citations) for chunk in chunks)


def test_a_call_that_begins_is_passed_on_at_once() -> None:
    merger = FragmentMerger()
    assert list(merger.feed(LLMChunk(reasoning="x" * 100_000)))
    begin = LLMChunk(tool_calls=(ToolCallChunk(0, "id", "name", '{"a":'),), content="text")
    begun, held = [*merger.feed(begin), *merger.feed(LLMChunk(finish_reason="stop"))][:2]
    assert begun == LLMChunk(tool_calls=(ToolCallChunk(0, "id", "name"),), content="text")
    assert held == LLMChunk(tool_calls=(ToolCallChunk(0, arguments='{"a":'),))


def test_chunks_of_a_wrapped_model_are_passed_on_as_they_are() -> None:
    chunks = [LLMChunk(reasoning="x" * 100, raw=object())] * 2000
    assert merged(chunks) == chunks


def test_too_many_calls_for_a_framework_are_an_error() -> None:
    check_calls(LLMChunk(tool_calls=(ToolCallChunk(MAX_STREAMED_CALLS - 1),)))
    with pytest.raises(GenerationError, match="more than 1000 tool calls; send the request without streaming"):
        check_calls(LLMChunk(tool_calls=(ToolCallChunk(MAX_STREAMED_CALLS),)))


def test_long_arguments_that_are_not_json_are_an_error() -> None:
    fragments = [LLMChunk(tool_calls=(ToolCallChunk(0, arguments="not json "),))] * 2000
    with pytest.raises(GenerationError, match="arguments that are not JSON") as caught:
        merged(fragments)
    assert "not json" not in str(caught.value)


@pytest.mark.parametrize("start", ['{"a": "', '{"a": "\\n line feeds \n in a text', "["])
def test_long_arguments_that_may_become_json_are_no_error(start: str) -> None:
    fragments = [start, *["1234567890, "] * 2000]
    assert merged([LLMChunk(tool_calls=(ToolCallChunk(0, arguments=text),)) for text in fragments])
