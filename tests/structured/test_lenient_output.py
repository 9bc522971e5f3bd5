"""JSON output that is not strict JSON, and targets that refuse a way in which they were thought to answer."""

from __future__ import annotations

import json
from typing import Any

from tests.support.each import each
from unified_llm._core.features import EVERYTHING, Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._structured.attempts import StructuredAttempt
from unified_llm._structured.extract_json import JSONExtractor, find_json
from unified_llm._structured.plan import plan_emulation
from unified_llm.types import LLMChunk, LLMRequest, LLMResponse, Message, ResponseFormat, Tool, ToolCall
from unified_llm.types.messages import ToolCallChunk

NOTE = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
SCORE = {"type": "object", "properties": {"score": {"type": ["number", "null"]}}, "required": ["score"]}
WRITTEN = '{"text": "a\nb\tc [{\\"", "more": {"x": "\r"}}'
READ = {"text": 'a\nb\tc [{"', "more": {"x": "\r"}}


def attempt(*features: Feature, stream: bool = False, schema: dict[str, Any] | None = None) -> StructuredAttempt:
    request = LLMRequest((Message.user("?"),), response_format=ResponseFormat(schema or NOTE, "note"), stream=stream)
    plan = plan_emulation(request, ())
    assert plan is not None
    return plan.attempt(Target("somewhere", "m", "openai_chat", features=frozenset(features)))


def end_of(reader: StructuredAttempt, value: Any) -> Any:
    (event,) = reader.convert(Done(value))
    return event if isinstance(event, Failure) else event.value  # type: ignore[union-attr]


def test_line_feeds_in_strings_are_escaped_in_a_stream_whatever_its_chunks() -> None:
    for size in range(1, len(WRITTEN) + 1):
        extractor = JSONExtractor(NOTE)
        chunks = [f"Here: {WRITTEN} Bye."[at : at + size] for at in range(0, len(WRITTEN) + 11, size)]
        assert json.loads("".join(map(extractor.feed, chunks))) == READ, size


def test_line_feeds_between_tokens_stay_and_two_objects_are_told_apart() -> None:
    pretty = '{\n\t"text": "a"\n}'
    assert find_json(pretty, NOTE) == pretty
    assert json.loads(find_json(f'{{"other": "\n\n\n"}} {WRITTEN}', NOTE)) == READ


@each("features", [("json_schema",), ("tools", "tool_choice"), ()])
@each("stream", [False, True])
def test_every_method_reads_raw_line_feeds(features: tuple[Feature, ...], *, stream: bool) -> None:
    reader = attempt(*features, stream=stream)
    by_tool = reader.method == "tool"
    if not stream:
        calls = (ToolCall.parse("c", "note", WRITTEN),) if by_tool else ()
        value = end_of(reader, LLMResponse("" if by_tool else WRITTEN, tool_calls=calls))
        assert json.loads(value.content) == READ
        return
    events = [
        LLMChunk(tool_calls=(ToolCallChunk(0, "c" if at == 0 else None, "note" if at == 0 else None, part),))
        if by_tool
        else LLMChunk(part)
        for at, part in enumerate(WRITTEN[start : start + 5] for start in range(0, len(WRITTEN), 5))
    ]
    texts = [chunk.content for event in events for chunk in reader.convert(event) if isinstance(chunk, LLMChunk)]
    last = end_of(reader, LLMChunk(finish_reason="tool_calls" if by_tool else "stop"))
    assert json.loads("".join(texts) + last.content) == READ


@each(
    ("arguments", "schema", "read"),
    [
        ('{"text": "\\ud83d\\ude00 \\ud83d"}', NOTE, {"text": "😀 \ufffd"}),
        (json.dumps('{"text": "a"}'), NOTE, {"text": "a"}),
        ('{"text": "a",}', NOTE, {"text": "a"}),
        ('{"note": {"text": "a"}}', NOTE, {"text": "a"}),
        ('{"score": NaN}', SCORE, {"score": None}),
    ],
)
def test_arguments_of_a_forced_tool_are_read_as_those_of_any_tool(arguments: str, schema: Any, read: Any) -> None:
    reader = attempt("tools", "tool_choice", schema=schema)
    value = end_of(reader, LLMResponse(tool_calls=(ToolCall.parse("c", "note", arguments),)))
    assert json.loads(value.content) == read


def test_json_that_a_target_refuses_beside_tools_is_not_sent_in_another_form() -> None:
    tools = (Tool("f", parameters={"type": "object", "properties": {}}),)
    request = LLMRequest((Message.user("?"),), tools=tools, response_format=ResponseFormat(NOTE, "note"))
    plan = plan_emulation(request, ())
    assert plan is not None
    target = Target("somewhere", "m", "gemini", features=EVERYTHING)
    first = plan.attempt(target)
    assert first.request.response_format is not None
    refusal = Failure("unsupported", detail="Function calling with a response mime type is unsupported")
    (failure,) = first.convert(refusal)
    assert isinstance(failure, Failure)
    assert failure.try_again
    second = plan.attempt(target)
    assert second.method == "prompt"
    assert second.request.response_format is None
    assert second.request.tools == tools
