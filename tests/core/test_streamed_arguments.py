"""Streamed arguments of tool calls are what a whole response has (wire F3, F9, F13)."""

from __future__ import annotations

import json

from tests.support.each import each
from unified_llm._core.chunks import as_chunks
from unified_llm._core.streamed_arguments import StreamedArguments
from unified_llm._lib.bounded_json import strict_arguments
from unified_llm.types import LLMChunk, LLMResponse, ToolCall
from unified_llm.types.messages import ToolCallChunk

READ = {
    "null": {},
    " null\n": {},
    '"null"': {},
    '""': {},
    '\n {"x": "y"} ': {"x": "y"},
    json.dumps('{"x": "a"}'): {"x": "a"},
    '{"x": "\\ud83d\\ude00"}': {"x": "😀"},
    '{"x": "\\uD83D"}': {"x": "\ufffd"},
    '{"x": "\\ude00\\ud83d\\ud83d\\ude00\\n"}': {"x": "\ufffd\ufffd😀\n"},
    '{"x": "\\\\ud83d \\\\\\ud83d \\u00e9"}': {"x": "\\ud83d \\\ufffd é"},
    '{"x": ["\\ud83d\\u0041"]}': {"x": ["\ufffdA"]},
}
UNREADABLE = ("[1]", '"text"', '{"x": "\\ud8', '{"x": "\\ud83d', '{"x": "\\ud83d\\u', "nul", '"{"')


def streamed(text: str, size: int) -> tuple[str, list[LLMChunk]]:
    reader = StreamedArguments()
    fragments = [ToolCallChunk(0, "c", "f")]
    fragments += [ToolCallChunk(0, arguments=text[at : at + size]) for at in range(0, len(text), size)]
    chunks = [chunk for each in fragments if (chunk := reader.read(LLMChunk(tool_calls=(each,)))) is not None]
    if (last := reader.flush()) is not None:
        chunks.append(last)
    return "".join(call.arguments for chunk in chunks for call in chunk.tool_calls), chunks


@each("text", READ)
def test_any_fragments_are_read_as_the_whole(text: str) -> None:
    assert ToolCall.parse("c", "f", text).arguments == READ[text]
    for size in range(1, len(text) + 1):
        joined, chunks = streamed(text, size)
        assert json.loads(joined) == READ[text], size
        assert LLMChunk() not in chunks
        assert chunks[0].tool_calls[0].name == "f"
        joined.encode()
        assert "\\ud83d\\u0041" not in joined
    (chunk, _) = as_chunks(LLMResponse(tool_calls=(ToolCall.parse("c", "f", text),)))
    assert chunk is not None
    assert json.loads(chunk.tool_calls[0].arguments) == READ[text]


@each("text", UNREADABLE)
def test_what_cannot_be_read_is_passed_on(text: str) -> None:
    for size in range(1, len(text) + 1):
        joined = streamed(text, size)[0]
        assert joined == text.replace("\\ud83d", "\\ufffd"), size
        assert ToolCall.parse("c", "f", joined).error
    assert strict_arguments(text) == text


def test_objects_go_out_as_they_come() -> None:
    chunk = LLMChunk(tool_calls=(ToolCallChunk(0, "c", "f", '{"x'), ToolCallChunk(1, "d", "g", '{"y": "\\n')))
    reader = StreamedArguments()
    assert reader.read(chunk) is chunk
    assert reader.read(chunk) is chunk
    assert reader.flush() is None
