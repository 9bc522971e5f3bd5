"""What answers are parsed to: strict schemas of classes, tools that are strict, and the events of a stream."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, Literal

import pydantic
import pytest

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm.exceptions import GenerationError, ValidationError
from unified_llm.openai_style import NOT_GIVEN, AsyncOpenAI, OpenAI
from unified_llm.openai_style._chat_snapshot import Snapshot
from unified_llm.openai_style._parse import Wanted, parse_arguments, read_wanted, strict_schema
from unified_llm.openai_style._responses_parse import parse_response
from unified_llm.openai_style._responses_parse import read_wanted as read_wanted_of_responses
from unified_llm.openai_style.types.chat import ChatCompletionChunk
from unified_llm.openai_style.types.chat.chat_completion_message_tool_call import Function
from unified_llm.openai_style.types.responses import Response

KEY = "sk-a-key-of-a-test"
QUESTION: Any = [{"role": "user", "content": "Hi"}]


class Street(pydantic.BaseModel):
    name: str


class City(pydantic.BaseModel):
    """A city."""

    name: str
    size: int | None = None
    main: Street = pydantic.Field(description="its main street")
    streets: list[Street] = []
    kind: Literal["old", "new"] = "old"


@dataclasses.dataclass
class Point:
    x: int


def test_a_strict_schema_requires_every_property_and_takes_no_other() -> None:
    schema = strict_schema(City)
    assert schema["required"] == ["name", "size", "main", "streets", "kind"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["size"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert "default" not in schema["properties"]["size"]
    assert schema["properties"]["kind"]["default"] == "old"
    main, definition = schema["properties"]["main"], schema["$defs"]["Street"]
    assert main == {**definition, "description": "its main street"}, "a reference stands alone, or is resolved"
    assert schema["properties"]["streets"]["items"] == {"$ref": "#/$defs/Street"}
    assert definition["required"] == ["name"]
    assert strict_schema(Point)["required"] == ["x"]


def test_parts_of_a_schema_are_strict_and_a_single_one_takes_its_place() -> None:
    part: dict[str, Any] = {"type": "object", "properties": {"x": {"type": "integer"}}}

    class Parts(pydantic.BaseModel):
        one: Any = pydantic.Field(json_schema_extra={"allOf": [dict(part)]})
        two: Any = pydantic.Field(json_schema_extra={"allOf": [dict(part), {"type": "object"}]})

    strict = {**part, "additionalProperties": False, "required": ["x"]}
    fields = strict_schema(Parts)["properties"]
    assert fields["one"] == {"title": "One", **strict}
    assert fields["two"]["allOf"] == [strict, {"type": "object", "additionalProperties": False}]


TOOL = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {}}}


@each(
    ("given", "message"),
    [
        ({"response_format": City(name="x", main=Street(name="y"))}, "response_format is a Pydantic model"),
        ({"response_format": int}, "response_format is a Pydantic model"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "takes functions as tools, not 'custom'"),
        ({"tools": ["f"]}, "takes functions as tools, not 'str'"),
        ({"tools": [{"type": "function", "function": "f"}]}, "takes functions as tools"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "The tool 'f' is not strict"),
    ],
)
def test_what_cannot_be_parsed_to_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        read_wanted(given, strict_tools=True)


def test_what_is_wanted_is_read_from_tools_and_a_class() -> None:
    given: dict[str, Any] = {"tools": iter([TOOL]), "response_format": City}
    wanted = read_wanted(given, strict_tools=True)
    assert wanted.kind is City
    assert wanted.parses
    assert given["tools"] == [TOOL]
    assert given["response_format"]["json_schema"] == {"name": "City", "strict": True, "schema": strict_schema(City)}
    for kind in (None, NOT_GIVEN, {"type": "json_object"}):
        nothing = read_wanted({"response_format": kind, "tools": [{"type": "custom"}]}, strict_tools=False)
        assert (nothing.kind, nothing.check, nothing.parses) == (None, None, False)
    assert read_wanted({"tools": None}, strict_tools=True) == Wanted(None, {})


def test_arguments_are_parsed_where_their_tool_is_strict() -> None:
    wanted = Wanted(None, {"f": {"strict": True}, "g": {"strict": False}})

    def parsed(name: str, arguments: str) -> Any:
        return parse_arguments(Function.from_json({"name": name, "arguments": arguments}), wanted)

    assert parsed("f", '{"x": 1}') == {"x": 1}
    assert parsed("g", '{"x": 1}') is parsed("unknown", "{}") is None
    with pytest.raises(GenerationError, match="The arguments of the call of 'f' are no JSON") as caught:
        parsed("f", '{"x": CANARY')
    assert "CANARY" not in str(caught.value)


@each(
    ("given", "message"),
    [
        ({"text_format": "City"}, "text_format is a Pydantic model or a dataclass"),
        ({"text_format": Point, "text": {"format": {"type": "text"}}}, "say the same: pass one of them"),
        ({"text_format": Point, "text": "plain"}, "say the same: pass one of them"),
    ],
)
def test_what_a_response_cannot_be_parsed_to_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        read_wanted_of_responses(given)


def test_the_texts_and_calls_of_a_response_are_parsed() -> None:
    tools = ({"type": kind, "name": "f", "strict": True} for kind in ("function", "custom"))
    given: dict[str, Any] = {"text_format": Point, "text": {"verbosity": "low"}, "tools": tools}
    wanted = read_wanted_of_responses(given)
    assert "text_format" not in given
    assert [tool["type"] for tool in given["tools"]] == ["function", "custom"]
    assert (given["text"]["verbosity"], given["text"]["format"]["name"]) == ("low", "Point")
    assert [*wanted.functions] == ["f"]
    parts = [{"type": "output_text", "text": '{"x": 1}', "annotations": []}, {"type": "refusal", "refusal": "No."}]
    output = [
        {"type": "message", "role": "assistant", "content": parts},
        {"type": "function_call", "name": "f", "arguments": '{"y": 2}', "call_id": "1"},
        {"type": "reasoning", "summary": []},
    ]
    parsed: Any = parse_response(Response.from_json({"id": "r", "output": output}), wanted)
    assert parsed.output_parsed == Point(1)
    assert parsed.output[1].parsed_arguments == {"y": 2}
    for fields in ({"text_format": NOT_GIVEN}, {"tools": NOT_GIVEN}, {"text": None}):
        assert read_wanted_of_responses(dict(fields)) == Wanted(None, {})
    without_text: dict[str, Any] = {"text_format": Point, "text": NOT_GIVEN}
    assert read_wanted_of_responses(without_text).kind is Point
    assert [*without_text["text"]] == ["format"]


def chunk(delta: dict[str, Any], *, reason: str | None = None, logprobs: Any = None, **fields: Any) -> Any:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **fields}
    return ChatCompletionChunk.from_json(body)


def events_of(wanted: Wanted, *chunks: Any) -> tuple[list[Any], Any]:
    snapshot = Snapshot(wanted)
    events = [event for each_chunk in chunks for event in snapshot.add(each_chunk)]
    return [event for event in events if event.type != "chunk"], snapshot.final()


def test_a_refusal_and_log_probabilities_have_events_of_their_own() -> None:
    head: dict[str, Any] = {"logprob": -0.1, "bytes": None, "top_logprobs": []}
    yes, no = {**head, "token": "yes"}, {**head, "token": "no"}
    events, final = events_of(
        Wanted(Point, {}),
        chunk({"role": "assistant", "content": "y"}),
        chunk({"content": "es"}, logprobs={"content": [yes], "refusal": None}),
        chunk({"refusal": "N"}, logprobs={"content": None, "refusal": [no]}),
        chunk({"refusal": "o"}, logprobs={"content": [yes], "refusal": [no]}),
        chunk({}, reason="stop", moderation={"flagged": False}, obfuscation="xyz"),
        chunk({}, reason="stop"),
    )
    assert [event.type for event in events] == [
        "content.delta", "content.delta", "logprobs.content.delta", "refusal.delta", "logprobs.refusal.delta",
        "refusal.delta", "logprobs.content.delta", "logprobs.refusal.delta", "content.done", "refusal.done",
        "logprobs.content.done", "logprobs.refusal.done",
    ]  # fmt: skip
    assert [event.snapshot for event in events[:4:3]] == ["y", "N"]
    assert [entry["token"] for entry in events[6].snapshot] == ["yes", "yes"]
    assert (events[8].content, events[8].parsed, events[9].refusal) == ("yes", None, "No")
    assert len(events[10].content) == len(events[11].refusal) == 2
    message = final.choices[0].message
    assert (message.content, message.refusal, message.parsed) == ("yes", "No", None)
    assert "obfuscation" not in final.to_dict()
    assert final.moderation.to_dict() == {"flagged": False}


def test_a_text_that_is_no_json_is_one_error_at_its_end() -> None:
    snapshot = Snapshot(Wanted(Point, {}))
    events = [event for text in ("Sorry, ", "CANARY") for event in snapshot.add(chunk({"content": text}))]
    assert [event.type for event in events] == ["chunk", "content.delta"] * 2
    with pytest.raises(pydantic.ValidationError) as caught:
        list(snapshot.add(chunk({}, reason="stop")))
    assert "CANARY" not in str(caught.value)


def test_each_call_is_done_when_the_next_begins() -> None:
    def call(index: int, arguments: str, **fields: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, **fields, "function": {"name": "f", "arguments": arguments}}]}

    def further(index: int, arguments: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}

    events, final = events_of(
        Wanted(None, {"f": {"strict": True}}),
        chunk({"content": "Look:"}),
        chunk(call(0, '{"x"', id="1", type="function")),
        chunk(further(0, ": 1}")),
        chunk(call(1, "{}", id="2", type="function")),
        chunk({}, reason="tool_calls"),
    )
    kinds = [event.type.removeprefix("tool_calls.function.arguments.") for event in events]
    assert kinds == ["content.delta", "delta", "content.done", "delta", "delta", "done", "done"]
    assert [event.arguments_delta for event in events if event.type.endswith("arguments.delta")] == [
        '{"x"', ": 1}", "{}",
    ]  # fmt: skip
    assert [(event.index, event.name, event.parsed_arguments) for event in events[-2:]] == [
        (0, "f", {"x": 1}), (1, "f", {}),
    ]  # fmt: skip
    assert [one.function.arguments for one in final.choices[0].message.tool_calls] == ['{"x": 1}', "{}"]


def test_a_stream_in_events_can_be_asked_for_what_it_is_so_far() -> None:
    answer = say('{"x": 1}')
    with ScriptedTargets({"openai/gpt-4o": [answer, answer]}).running():
        fields: dict[str, Any] = {"model": "gpt-4o", "messages": QUESTION, "response_format": Point}
        with OpenAI(api_key=KEY).chat.completions.stream(**fields) as stream:
            with pytest.raises(ValidationError, match="No chunk of the stream has been read"):
                _ = stream.current_completion_snapshot
            assert stream.until_done() is stream
            assert stream.current_completion_snapshot.choices[0].message.content == '{"x": 1}'
            assert stream.unified_llm is not None
            assert stream.unified_llm["served_by"] == "openai/gpt-4o"
            assert stream.response is not None
            assert list(stream) == []

        async def read() -> Any:
            async with AsyncOpenAI(api_key=KEY).chat.completions.stream(**fields) as later:
                kinds = [event.type async for event in later]
                async with later:
                    return kinds, await later.get_final_completion()

        kinds, final = asyncio.run(read())
    assert kinds[-1] == "content.done"
    assert final.choices[0].message.parsed == Point(1)
