from __future__ import annotations

import json
from typing import Any

from tests.support.each import each
from unified_llm._backends.mlx.closed_schemas import close_objects
from unified_llm._backends.mlx.template_files import uses_variable
from unified_llm._backends.mlx.tool_formats import DEFAULT, FORMATS, ToolFormat, find_format
from unified_llm._backends.mlx.tool_formats.grammars import constrain_begun_calls, constrain_calls
from unified_llm._backends.mlx.tool_formats.reading import CallReader
from unified_llm.types.messages import Message, Tool, ToolCall
from unified_llm.types.requests import LLMRequest

CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
TOOLS = (Tool("weather", "Tell the weather.", CITY), Tool("now", "Tell the time.", {}))
REQUEST = LLMRequest((Message.user("What is the weather in Oslo?"),), tools=TOOLS)
ROME = {"city": "Rome", "days": 2}
HERMES = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "days": 2}}\n</tool_call>'
BY_NAME = {one.name: one for one in FORMATS}


def read(
    text: str, tool_format: ToolFormat = DEFAULT, *, step: int = 0, is_cut: bool = False, from_start: bool = False
) -> tuple[str, list[tuple[str, Any]]]:
    """Read a text in pieces of ``step`` characters, or as a whole."""
    reader = CallReader(TOOLS, tool_format, REQUEST, from_start=from_start)
    pieces = [text[at : at + step] for at in range(0, len(text), step)] if step else [text]
    shown = "".join(map(reader.feed, pieces))
    held, calls = reader.finish(is_cut=is_cut)
    assert all(isinstance(call, ToolCall) and not call.from_text for call in calls)
    assert len({call.id for call in calls}) == len(calls)
    return shown + held, [(call.name, call.arguments) for call in calls]


# Formats as chat templates and the parsers of mlx-lm have them.
WRITTEN = {
    "json_tools": HERMES,
    "qwen3_coder": "<tool_call>\n<function=weather>\n<parameter=city>\nRome\n</parameter>\n<parameter=days>\n2\n"
    "</parameter>\n</function>\n</tool_call>",
    "glm47": "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n<arg_key>days</arg_key>\n"
    "<arg_value>2</arg_value>\n</tool_call>",
    "minimax_m2": '<minimax:tool_call>\n<invoke name="weather">\n<parameter name="city">Rome</parameter>\n'
    '<parameter name="days">2</parameter>\n</invoke>\n</minimax:tool_call>',
    "kimi_k2": "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>"
    '{"city": "Rome", "days": 2}<|tool_call_end|><|tool_calls_section_end|>',
    "mistral": '[TOOL_CALLS]weather[ARGS]{"city": "Rome", "days": 2}',
    "deepseek_v3": "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>function"
    '<\uff5ctool\u2581sep\uff5c>weather\n```json\n{"city": "Rome", "days": 2}\n```<\uff5ctool\u2581call\u2581end\uff5c>'
    "<\uff5ctool\u2581calls\u2581end\uff5c>",
    "deepseek_v31": "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>weather"
    '<\uff5ctool\u2581sep\uff5c>{"city": "Rome", "days": 2}'
    "<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>",
    "harmony": '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Rome", "days": 2}',
    "llama3": '<|python_tag|>{"name": "weather", "parameters": {"city": "Rome", "days": 2}}',
}


@each(("name", "text"), list(WRITTEN.items()))
def test_calls_in_the_format_of_a_family_are_read_whole_and_in_pieces(name: str, text: str) -> None:
    for step in (0, 1, 7):
        assert read(text, BY_NAME[name], step=step) == ("", [("weather", ROME)])
        assert read(f"Let me see.\n{text}", BY_NAME[name], step=step) == ("Let me see.", [("weather", ROME)])


@each(
    ("text", "expected"),
    [
        (HERMES + "\n" + HERMES, ("", [("weather", ROME)] * 2)),
        (HERMES + "\nI wait.", ("I wait.", [("weather", ROME)])),
        (
            f"First {HERMES}\nthen {HERMES} and <tool_call> x",
            ("First then and <tool_call> x", [("weather", ROME)] * 2),
        ),
        ("1 < 2 and <tool", ("1 < 2 and <tool", [])),
        (HERMES.replace("weather", "wether"), (HERMES.replace("weather", "wether"), [])),
        (HERMES.replace("Rome", "Rome").replace('"city"', '"place"'), (HERMES.replace('"city"', '"place"'), [])),
        ("No call.", ("No call.", [])),
        ("The tag <tool_call> begins a call.", ("The tag <tool_call> begins a call.", [])),
    ],
)
def test_what_is_no_call_of_an_offered_tool_is_text(text: str, expected: Any) -> None:
    for step in (0, 1, 5):
        assert read(text, step=step) == expected


def test_of_a_response_that_was_cut_off_the_whole_calls_are_calls() -> None:
    cut = HERMES + '\n<tool_call>\n{"name": "weath'
    for step in (0, 1, 5):
        assert read(cut, step=step, is_cut=True) == ('<tool_call>\n{"name": "weath', [("weather", ROME)])
        assert read(HERMES[:30], step=step, is_cut=True) == (HERMES[:30], [])


def test_arguments_that_stand_one_by_one_are_constrained_by_their_own_schemas() -> None:
    properties = {
        "city": {"type": "string", "minLength": 1, "maxLength": 9}, "unit": {"enum": ["C", "F"]},
        "days": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/All"}]}, "note": {"type": "string"},
    }  # fmt: skip
    schema = {"properties": properties, "required": ["city"], "$defs": {"All": {"const": "all"}}}
    for name in ("qwen3_coder", "glm47", "minimax_m2"):
        grammar = constrain_calls([Tool("weather", "", schema)], BY_NAME[name]).text
        fields = "call_0_arguments_0 call_0_arguments_1? call_0_arguments_2? call_0_arguments_3?"
        assert f"call_0_arguments: {fields}\n" in grammar
        assert "/[^\\n]{1,9}/" in grammar
        assert '("C" | "F")' in grammar
        assert "/(.|\\n)*/" in grammar
        assert json.loads(grammar.split("%json ")[1].split(', "x-guidance"')[0].split(',"x-guidance"')[0] + "}")[
            "$defs"
        ]


def test_arguments_of_gemma_have_bare_names_and_quotes_of_their_own() -> None:
    text = {"type": "string"}
    inner = {"type": "object", "properties": {"b": {"type": ["boolean", "null"]}, "c": {"enum": ["x"]}}}
    listed = {"type": "array", "items": {"anyOf": [text, inner]}, "minItems": 1, "maxItems": 3}
    for required in (["text"], []):
        schema = {"properties": {"text": text, "list": listed}, "required": required}
        grammar = constrain_calls([Tool("x", "", schema)], BY_NAME["gemma4"]).text
        assert '"<|tool_call>" "call:x" call_0_arguments "<tool_call|>"' in grammar
        assert '"text:" "<|\\"|>" call_0_arguments_text_0' in grammar
        assert '("," ("<|\\"|>" call_0_arguments_text_0 | "{" ("b:" (' in grammar
        assert '){0,2} "]"' in grammar
        assert grammar.split("call_0_arguments: ")[1].startswith('"{" "text:"' if required else '"{" ("text:"')


@each(
    "schema",
    [
        {"properties": {"a": {"type": "string", "pattern": "^x"}}},
        {"properties": {"a b": {"type": "string"}}},
        {"properties": {"a": {"enum": ["</parameter>"]}}},
        {"properties": {"a": {"type": "string", "maxLength": 100_000}}},
        {"properties": {}, "anyOf": [{"required": ["a"]}]},
        {"required": ["a"]},
    ],
)
def test_arguments_that_cannot_stand_one_by_one_are_json_or_any_where_the_model_begins(schema: dict[str, Any]) -> None:
    coder, tools = BY_NAME["qwen3_coder"], [Tool("x", "", schema)]
    assert '\\"arguments\\": ' in constrain_calls(tools, coder).text
    begun = constrain_begun_calls(tools, coder, is_parallel=False)
    assert begun is not None
    assert "call_0_arguments: call_0_arguments_any*" in begun.text


def test_a_call_that_the_request_quotes_is_text_unless_a_call_was_required() -> None:
    quoting = LLMRequest((Message.user(f"What does {HERMES} mean?"),), tools=TOOLS)
    for request, count in ((quoting, 0), (None, 1)):
        reader = CallReader(TOOLS, DEFAULT, request)
        text = reader.feed(HERMES)
        rest, calls = reader.finish(is_cut=False)
        assert (len(calls), text + rest) == (count, "" if count else HERMES)


def test_calls_that_a_model_may_begin_are_constrained_from_their_opening_on() -> None:
    mistral, kimi, llama = (BY_NAME[name] for name in ("mistral", "kimi_k2", "llama3"))
    for tool_format, opening in ((DEFAULT, "<tool_call>"), (mistral, "[TOOL_CALLS]"), (llama, "<|python_tag|>")):
        constraint = constrain_begun_calls(TOOLS, tool_format, is_parallel=True)
        assert constraint is not None
        assert constraint.opening == opening
        lines = constraint.text.splitlines()
        assert json.dumps(opening) in f"{lines[1]} {lines[3]}"
        assert ("{0," in lines[1]) is (tool_format is mistral), "calls that stand alone are begun one by one"
        assert constraint.simpler is not None
        assert "city" not in constraint.simpler
    for is_parallel in (True, False):
        section = constrain_begun_calls(TOOLS, kimi, is_parallel=is_parallel)
        assert section is not None
        assert ("{0,15}" in section.text, section.may_repeat) == (is_parallel, is_parallel)
    assert constrain_begun_calls(TOOLS, BY_NAME["longcat"], is_parallel=True) is None


def test_white_space_is_held_until_it_is_clear_whether_calls_follow() -> None:
    reader = CallReader(TOOLS, DEFAULT, REQUEST, from_start=False)
    assert [reader.feed(text) for text in ("So.", "\n", "\n", "Or")] == ["So.", "", "", "\n\nOr"]
    assert reader.feed(" " * 10_000) == " " * (10_000 - 32)
    assert reader.finish(is_cut=False) == (" " * 32, [])


def test_without_a_start_tag_calls_are_the_whole_response() -> None:
    bare = '{"name": "weather", "parameters": {"city": "Rome", "days": 2}}'
    assert read(bare, BY_NAME["llama3"], from_start=True) == ("", [("weather", ROME)])
    assert read(bare, BY_NAME["llama3"], from_start=False) == (bare, [])
    assert read(f"So: {bare}", BY_NAME["llama3"], from_start=True) == (f"So: {bare}", [])


@each(
    ("template", "name"),
    [
        ("{{ '<tool_call>' }}{{ tool_call.name }}", "json_tools"),
        ("{{ '<tool_call>\\n<function=' }}", "qwen3_coder"),
        ("{{ '[TOOL_CALLS]' }}{{ name }}{{ '[ARGS]' }}", "mistral"),
        ("{{ '[TOOL_CALLS] [' }}", "mistral"),
        ("{{ '<|tool_call>call:' }}{{ '<tool_call|>' }}", "gemma4"),
        ("{{ '<start_function_call>' }}", "function_gemma"),
        ("{{ '<tool_call>' }}{{ '<arg_key>' }}", "glm47"),
        ("{{ '<minimax:tool_call>' }}", "minimax_m2"),
        ("{{ '<|tool_calls_section_begin|>' }}", "kimi_k2"),
        ("{{ '<|tool_list_start|>' }}", "pythonic"),
        ("{{ '<|python_tag|>' }}", "llama3"),
        ("{{ '<\uff5ctool\u2581sep\uff5c>' + name + '\\n```json\\n' }}", "deepseek_v3"),
        ("{{ name + '<\uff5ctool\u2581sep\uff5c>' }}", "deepseek_v31"),
        ("{{ '<|start|>assistant<|channel|>commentary to=functions.' + name + '<|message|>' }}", "harmony"),
        ("{{ messages }}", "json_tools"),
    ],
)
def test_a_format_is_recognised_by_the_texts_of_the_template(template: str, name: str) -> None:
    assert find_format(template).name == name


@each(
    ("template", "is_used"),
    [
        ("{% for tool in tools %}{% endfor %}", True),
        ("{%- if tools is defined %}{% endif %}", True),
        ("{{ messages[0]['tools'] }}{{ message.tools }}", False),
        ("You have tools. {{ 'tools' }}{# tools #}", False),
        ("{{ my_tools }}{{ tools_count }}", False),
        ("", False),
    ],
)
def test_a_template_takes_tools_if_its_code_uses_the_variable(template: str, *, is_used: bool) -> None:
    assert uses_variable(template, "tools") is is_used


def test_code_of_a_template_that_is_not_closed_is_looked_at_once() -> None:
    assert not uses_variable("{%" * 200_000, "tools")  # each to the end would take hours
    assert not uses_variable("{% '" + "\\'" * 200_000 + "%}", "tools")


def test_a_call_that_is_required_is_constrained_to_the_schemas_of_the_tools() -> None:
    lines = constrain_calls(TOOLS, DEFAULT).text.splitlines()
    assert lines[:3] == ["start: calls", "calls: call", "call: call_0 | call_1"]
    before, after = r'"<tool_call>" "\n{\"name\": \"weather\", \"arguments\": "', r'"}\n" "</tool_call>"'
    assert lines[3] == f"call_0: {before} call_0_arguments {after}"
    schema = json.loads(lines[4].removeprefix("call_0_arguments: %json "))
    assert schema.pop("x-guidance")["whitespace_flexible"] is False
    assert schema == {**CITY, "additionalProperties": False}


def test_parallel_calls_may_be_several_and_json_may_be_the_other_response() -> None:
    constraint = constrain_calls(TOOLS[:1], DEFAULT, is_parallel=True, answer={"type": "array"}, after="</think>")
    assert constraint.after == "</think>"
    lines = constraint.text.splitlines()
    assert lines[0] == "start: calls | answer"
    assert lines[1] == 'calls: call ("\\n" call){0,15}'
    assert lines[-1].startswith('answer: %json {"type":') or lines[-1].startswith('answer: %json {"type": ')


@each(
    ("schema", "closed"),
    [
        ({"properties": {"a": {}}}, {"properties": {"a": {}}, "additionalProperties": False}),
        ({"properties": {}, "additionalProperties": True}, {"properties": {}, "additionalProperties": True}),
        ({"type": "object"}, {"type": "object"}),
        (
            {"items": {"properties": {}}, "$defs": {"A": {"properties": {}}}, "$ref": "#/$defs/A"},
            {
                "items": {"properties": {}, "additionalProperties": False},
                "$defs": {"A": {"properties": {}, "additionalProperties": False}},
                "$ref": "#/$defs/A",
            },
        ),
        (
            {"anyOf": [{"properties": {}}, {"type": "null"}]},
            {"anyOf": [{"properties": {}, "additionalProperties": False}, {"type": "null"}]},
        ),
        ({"properties": {}, "anyOf": [{"properties": {}}]}, {"properties": {}, "anyOf": [{"properties": {}}]}),
        (
            {"$defs": {"A": {"properties": {}}}, "allOf": [{"$ref": "#/$defs/A"}]},
            {"$defs": {"A": {"properties": {}}}, "allOf": [{"$ref": "#/$defs/A"}]},
        ),
    ],
)
def test_objects_have_the_properties_that_are_named_alone(schema: Any, closed: Any) -> None:
    assert close_objects(schema) == closed
