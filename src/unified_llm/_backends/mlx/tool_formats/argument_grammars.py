r"""Grammars of the arguments of one call, in the dialect of Lark that llguidance reads.

Most families write them as one JSON object. Some write them one by one: a text as it is, up to its closing tag, and any
other value as JSON::

    <parameter=city>                  call_0_0: "<parameter=city>\n" call_0_0_text "\n"
    Rome                              call_0_0_text[suffix="</parameter>"]: /(.|\n)*/
    </parameter>
    <parameter=days>                  call_0_1: "<parameter=days>\n" %json {"type": "integer"} "\n</parameter>\n"
    2
    </parameter>
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from unified_llm._backends.mlx.tool_formats import Fields, Wrapping
from unified_llm._backends.mlx.tool_formats.expressions import LONGEST_TEXT, json_of, literals
from unified_llm._backends.mlx.tool_formats.gemma_grammar import write_gemma_arguments
from unified_llm._lib.json_schema import json_types

_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}
_STRING: Final[frozenset[str]] = frozenset({"string"})
_ANY_TEXT: Final = r"(.|\n)*"
# Fields of schemas that are understood: of arguments, and of a text among them.
_OF_ARGUMENTS: Final = frozenset({
    "type", "properties", "required", "additionalProperties", "description", "title", "$schema", "$defs", "definitions",
})  # fmt: skip
_OF_TEXT: Final = frozenset({
    "type", "description", "title", "default", "examples", "format", "enum", "const", "minLength", "maxLength",
    "$defs", "definitions",
})  # fmt: skip
_NAME: Final = re.compile(r"[\w.$-]{1,64}")


def write_arguments(rule: str, schema: Mapping[str, Any] | None, wrapping: Wrapping) -> list[str] | None:
    """Return the lines of the rule of arguments; None where they cannot be written as the family does.

    Args:
        rule: The name of the rule.
        schema: That of the arguments; None for any.
        wrapping: How a call is written.
    """
    style = wrapping.arguments
    if style == "json":
        return [f"{rule}: {json_of(_ANY_OBJECT if schema is None else schema)}"]
    if style == "gemma":
        return write_gemma_arguments(rule, schema, wrapping.tags)
    if schema is None:
        return _write_any(rule, style, wrapping.tags)
    return _write_fields(rule, schema, style, wrapping.tags)


def _write_fields(rule: str, schema: Mapping[str, Any], fields: Fields, tags: Sequence[str]) -> list[str] | None:
    properties: Any = schema.get("properties", {})
    required: Any = schema.get("required", [])
    if not _OF_ARGUMENTS.issuperset(schema) or not isinstance(properties, Mapping) or not {*required} <= {*properties}:
        return None
    lines, names = list[str](), list[str]()
    for number, (name, inner) in enumerate(cast("Mapping[str, Any]", properties).items()):
        field_rule = f"{rule}_{number}"
        definitions = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
        value = _value(field_rule, {**inner, **definitions}, fields, tags) if isinstance(inner, Mapping) else None
        if value is None or not _NAME.fullmatch(name):
            return None
        before = " ".join(literals(fields.before + name + fields.between, tags))
        lines += [f"{field_rule}: {before} {value[0]} {' '.join(literals(fields.after, tags))}", *value[1:]]
        names.append(field_rule if name in required else f"{field_rule}?")
    return [f"{rule}: {' '.join(names) or json.dumps('')}", *lines]


def _write_any(rule: str, fields: Fields, tags: Sequence[str]) -> list[str]:
    """Return the lines of the rule of arguments of any names, whose values are any texts."""
    before, between, after = (" ".join(literals(text, tags)) for text in (fields.before, fields.between, fields.after))
    return [
        f"{rule}: {rule}_any*",
        f"{rule}_any: {before} /{_NAME.pattern}/ {between} {rule}_text {after}",
        _text_rule(rule, _ANY_TEXT, fields),
    ]


def _value(rule: str, schema: Mapping[str, Any], fields: Fields, tags: Sequence[str]) -> list[str] | None:
    """Return the expression of a value with its end, and the rules that it needs; None where there is none."""
    end = " ".join(literals(fields.padding + fields.end, tags))
    if json_types(schema) != _STRING:
        return [f"{json_of(schema)} {end}"]
    if not _OF_TEXT.issuperset(schema):
        return None
    if "enum" in schema or "const" in schema:
        choices = [str(text) for text in schema.get("enum", [schema.get("const")])]
        if any(fields.end in text or text != text.strip("\n") for text in choices):
            return None
        return [f"({' | '.join(json.dumps(text, ensure_ascii=False) for text in choices)}) {end}"]
    pattern = _text_pattern(schema)
    return None if pattern is None else [f"{rule}_text", _text_rule(rule, pattern, fields)]


def _text_pattern(schema: Mapping[str, Any]) -> str | None:
    """Return the expression of a text. One whose length is bounded has one line: new lines at its ends are dropped."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if not least and most is None:
        return _ANY_TEXT
    if max(least, most or 0) > LONGEST_TEXT:
        return None
    return rf"[^\n]{{{least},{'' if most is None else most}}}"


def _text_rule(rule: str, pattern: str, fields: Fields) -> str:
    return f"{rule}_text[suffix={json.dumps(fields.end)}]: /{pattern}/"
