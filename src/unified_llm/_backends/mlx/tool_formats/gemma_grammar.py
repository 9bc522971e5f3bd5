"""Grammar of the arguments of Gemma 4: as JSON, with bare names and with a token for the quotes of texts.

    {city:<|"|>Rome<|"|>,days:[1,2],options:{short:true}}

Names stand in the order of the schema, the required ones first. mlx_lm.tool_parsers.gemma4 reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from unified_llm._backends.mlx.tool_formats.expressions import LONGEST_TEXT, json_of, literals

_QUOTE: Final = '<|"|>'
_NAME: Final = re.compile(r"\w{1,64}", re.ASCII)
_DEEPEST: Final = 8  # levels of objects and lists
_PLAIN: Final = frozenset({"integer", "number", "boolean", "null"})
_WORDS: Final = frozenset({"description", "title", "default", "examples", "format", "$schema"})
_OF_CHOICE: Final = _WORDS | {"anyOf"}
_OF_TEXT: Final = _WORDS | {"type", "enum", "const", "minLength", "maxLength"}
_OF_LIST: Final = _WORDS | {"type", "items", "minItems", "maxItems"}
_OF_OBJECT: Final = _WORDS | {"type", "properties", "required", "additionalProperties"}


def write_gemma_arguments(rule: str, schema: Mapping[str, Any] | None, tags: Sequence[str]) -> list[str] | None:
    """Return the lines of the rule of arguments; None where the schema has what this grammar has not.

    Args:
        rule: The name of the rule.
        schema: That of the arguments; None for any.
        tags: Parts of the texts that may be tokens.
    """
    quote = " ".join(literals(_QUOTE, tags))
    if schema is None:
        value, field = f"{rule}_any", f'/{_NAME.pattern}/ ":" {rule}_any'
        plain = json_of({"type": sorted(_PLAIN)})
        return [
            f'{rule}: "{{" ({field} ("," {field})*)? "}}"',
            f'{value}: {quote} {rule}_text | {rule} | "[" ({value} ("," {value})*)? "]" | {plain}',
            _text_rule(f"{rule}_text", "*"),
        ]
    writer = _Writer(quote, f"{rule}_text")
    expression = writer.write({"type": "object", **schema}, _DEEPEST)
    if expression is None:
        return None
    return [f"{rule}: {expression}", *(_text_rule(name, length) for length, name in writer.texts.items())]


def _text_rule(rule: str, length: str) -> str:
    return f"{rule}[suffix={json.dumps(_QUOTE)}]: /(.|\\n){length}/"


class _Writer:
    """Writes the expressions of values.

    Attributes:
        texts: The rules of texts by their lengths, as of a regular expression.
    """

    def __init__(self, quote: str, text_rule: str) -> None:
        self._quote, self._text_rule = quote, text_rule
        self.texts: dict[str, str] = {}

    def write(self, schema: Any, depth: int) -> str | None:
        """Return the expression of a value; None where there is none."""
        if not isinstance(schema, Mapping) or not depth:
            return None
        known = cast("Mapping[str, Any]", schema)
        kind = known.get("type")
        if isinstance(kind, list) or ("anyOf" in known and _OF_CHOICE.issuperset(known)):
            kinds: list[Any] = known.get("anyOf") or [{**known, "type": one} for one in cast("list[Any]", kind)]
            choices = [self.write(one, depth - 1) for one in kinds]
            return None if None in choices else f"({' | '.join(map(str, choices))})"
        if kind in _PLAIN:
            return json_of(known)
        if "enum" in known or "const" in known or kind == "string":
            return self._write_text(known)
        if kind == "array" and _OF_LIST.issuperset(known):
            return self._write_list(known, depth)
        if kind == "object" and _OF_OBJECT.issuperset(known):
            return self._write_object(known, depth)
        return None

    def _write_text(self, schema: Mapping[str, Any]) -> str | None:
        if not _OF_TEXT.issuperset(schema):
            return None
        if "enum" not in schema and "const" not in schema:
            least, most = schema.get("minLength", 0), schema.get("maxLength")
            if max(least, most or 0) > LONGEST_TEXT:
                return None
            length = f"{{{least},{'' if most is None else most}}}" if least or most is not None else "*"
            rule = self.texts.setdefault(length, f"{self._text_rule}_{len(self.texts)}")
            return f"{self._quote} {rule}"
        choices: list[Any] = schema.get("enum", [schema.get("const")])
        if any(not isinstance(choice, str) or _QUOTE in choice for choice in choices):
            return None
        texts = " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)
        return f"{self._quote} ({texts}) {self._quote}"

    def _write_list(self, schema: Mapping[str, Any], depth: int) -> str | None:
        item = self.write(schema.get("items"), depth - 1)
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        if item is None or most == 0:
            return None
        more = f'("," {item}){{{max(least - 1, 0)},{"" if most is None else most - 1}}}'
        return f'"[" {item} {more} "]"' if least else f'"[" ({item} {more})? "]"'

    def _write_object(self, schema: Mapping[str, Any], depth: int) -> str | None:
        properties: Any = schema.get("properties", {})
        required: Any = schema.get("required", [])
        if not isinstance(properties, Mapping) or not {*required} <= {*properties}:
            return None
        fields: dict[str, str] = {}
        for name, inner in cast("Mapping[str, Any]", properties).items():
            value = self.write(inner, depth - 1)
            if value is None or not _NAME.fullmatch(name):
                return None
            fields[name] = f"{json.dumps(f'{name}:')} {value}"
        first = [fields.pop(name) for name in list(fields) if name in required]
        return f'"{{" {_join(first, list(fields.values()))} "}}"'


def _join(required: Sequence[str], optional: Sequence[str]) -> str:
    """Return the expression of fields with commas between those that are there."""
    rest = " ".join(f'("," {field})?' for field in optional)
    if required or not optional:
        return f"""{' "," '.join(required)} {rest}"""
    # Any of them may be the first.
    starts = (_join([field], optional[number + 1 :]) for number, field in enumerate(optional))
    return f"({' | '.join(starts)})?"
