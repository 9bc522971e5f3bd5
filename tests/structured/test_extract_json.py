"""Extraction of JSON for schemas whose root is not a plain object, and from text that looks like JSON."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.support.each import each
from unified_llm._core.features import CHAT, Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._structured.attempts import StructuredAttempt
from unified_llm._structured.checks import check_parses
from unified_llm._structured.extract_json import find_json
from unified_llm._structured.plan import plan_emulation
from unified_llm.types import LLMChunk, LLMRequest, LLMResponse, Message, ResponseFormat

CITY: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NAME: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
# As Pydantic writes a model that holds itself.
CHAIN: dict[str, Any] = {
    "$defs": {
        "Link": {
            "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/Link"}, {"type": "null"}]}},
            "required": ["v"],
        }
    },
    "$ref": "#/$defs/Link",
}
LINKS = '{"v":1,"next":{"v":2,"next":null}}'


def emulated(schema: dict[str, Any], *features: Feature) -> StructuredAttempt:
    request = LLMRequest((Message.user("Which?"),), response_format=ResponseFormat(schema, "it"))
    structured = plan_emulation(request, ())
    assert structured is not None
    attempt = structured.attempt(Target("somewhere", "some-model", "openai_chat", features=CHAT | set(features)))
    assert attempt is not None
    return attempt


def streamed(reader: StructuredAttempt, text: str, size: int, **end: Any) -> str | Failure:
    starts = range(0, len(text), size)
    pieces = [piece for start in starts for piece in reader.convert(LLMChunk(text[start : start + size]))]
    texts = [piece.content for piece in pieces if isinstance(piece, LLMChunk)]
    (last,) = reader.convert(Done(LLMChunk(finish_reason="stop", **end)))
    return (
        last if isinstance(last, Failure) else "".join(texts) + (last.value.content if isinstance(last, Done) else "")
    )


def whole(reader: StructuredAttempt, text: str, **end: Any) -> str | Failure:
    (last,) = reader.convert(Done(LLMResponse(text, **end)))
    assert last is not None
    return Failure("invalid", detail=last.detail) if isinstance(last, Failure) else str(last.value.content)  # type: ignore[union-attr]


ROOTS: dict[str, tuple[dict[str, Any], str]] = {
    "a reference": (CHAIN, LINKS),
    "alternatives": ({"anyOf": [CITY, NAME]}, '{"name":"Ada"}'),
    "all of several": ({"allOf": [{"$ref": "#/$defs/c"}], "$defs": {"c": CITY}}, '{"city":"Rome"}'),
    "an object or a list": ({"oneOf": [CITY, {"type": "array"}]}, '[{"a":1},{"b":[2]}]'),
    "an object or nothing": ({"type": ["object", "null"], "properties": {}}, "null"),
    "nullable": ({"type": "object", "properties": {}, "nullable": True}, '{"a":{}}'),
    "a choice": ({"enum": ["red", "blue"]}, '"red"'),
    "a constant": ({"const": 7}, "7"),
    "a text": ({"type": "string"}, '"a { b"'),
    "anything": ({}, "[1,2]"),
}


@each("root", ROOTS)
def test_whatever_the_root_is_fences_and_words_are_left_out(root: str) -> None:
    schema, answer = ROOTS[root]
    for text in (answer, f" {answer}\n", f"```json\n{answer}\n```", f"Sure:\n```\n{answer}\n```\nAnything else?"):
        assert whole(emulated(schema), text) == answer
        for size in range(1, len(text) + 1):
            extracted = streamed(emulated(schema), text, size)
            assert isinstance(extracted, str), (text, size)
            assert json.loads(extracted) == json.loads(answer)


def test_what_only_looks_like_the_beginning_is_passed_over() -> None:
    text = 'In the set { a, b } of {2} [see] the answer is: { "city" :"Rome"} {'
    for size in range(1, len(text) + 1):
        assert streamed(emulated(CITY), text, size) == '{ "city" :"Rome"}'
    cities = {"type": "array", "items": {"type": "string"}}
    assert streamed(emulated(cities), 'As [note] says: [\n "Rome"]', 1) == '[\n "Rome"]'


def test_of_a_whole_text_the_first_that_conforms_is_taken() -> None:
    thought = '<think>{"city": 7}? {"town": "Rome"}? {city}?</think> {"city": "Rome"} or {"city": "Bonn"}'
    assert whole(emulated(CITY), thought) == '{"city": "Rome"}'
    assert whole(emulated(CITY), '{"city": 7} or {}') == Failure("invalid", detail="$.city is no string")


def test_a_piece_of_an_answer_is_never_taken_for_it() -> None:
    cut = LINKS[:-1]  # what is inside would conform
    assert whole(emulated(CHAIN), cut) == Failure("invalid", detail="it is not JSON")
    assert whole(emulated(CHAIN), cut, finish_reason="length") == cut


def test_a_model_that_holds_itself_is_asked_for_by_a_tool() -> None:
    emulation = emulated(CHAIN, "tools", "tool_choice")
    (tool,) = emulation.request.tools
    assert (tool.parameters["type"], tool.parameters["required"]) == ("object", ["v"])
    assert "$ref" not in tool.parameters
    assert tool.parameters["$defs"] == CHAIN["$defs"]
    assert emulated({"$ref": "#"}, "tools", "tool_choice").method == "prompt"


def test_a_mode_for_objects_is_used_for_what_can_be_nothing_else() -> None:
    for schema, used in ((CHAIN, True), ({"anyOf": [CITY, NAME]}, True), ({"type": ["object", "null"]}, False)):
        assert (emulated(schema, "json_object").request.response_format is not None) is used


def test_a_refusal_in_pieces_is_no_failure() -> None:
    reader = emulated(CITY)
    assert reader.convert(LLMChunk(refusal="I will "))
    assert reader.convert(LLMChunk(refusal="not."))
    end = Done(LLMChunk(finish_reason="stop"))
    assert reader.convert(end) == (end,)


@each("text", ['{"city": "' + "x" * 100_000 + '"}', "word " * 20_000, "{" + " " * 100_000])
def test_the_time_for_a_long_text_grows_no_faster_than_the_text(text: str) -> None:
    times: list[float] = []
    for length in (len(text) // 8, len(text)):
        before = time.process_time()
        streamed(emulated(CITY), text[:length], 16)
        whole(emulated(CITY), text[:length])
        times.append(time.process_time() - before)
    assert times[1] < 24 * times[0] + 0.05


def test_a_list_in_a_fence_is_whole_where_any_json_is_accepted() -> None:
    for text in ('[{"a": 1}, {"a": 2}]', "[1]", "7"):
        assert find_json(f"```json\n{text}\n```", {"type": "object"}, check_parses) == text
    assert find_json('```json\n[{"a": 1}, {"a": 2}]\n```', {"type": "object", "required": ["a"]}) == '{"a": 1}'
