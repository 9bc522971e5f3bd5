"""Responses whose texts and calls are read as objects of the caller's own classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from unified_llm.exceptions import ValidationError
from unified_llm.openai_style._omitted import is_omitted
from unified_llm.openai_style._parse import Wanted, parse_arguments, parse_content, strict_schema
from unified_llm.openai_style._records import with_record_of
from unified_llm.openai_style.types.responses.parsed_response import ParsedResponse
from unified_llm.openai_style.types.responses.response import Response


def read_wanted(given: dict[str, Any]) -> Wanted:
    """Take what is to be parsed from the arguments of a call, which get the schema of ``text_format`` in its place.

    Args:
        given: The arguments; ``text`` is replaced, ``text_format`` removed.

    Raises:
        ValidationError: ``text_format`` is no class, or ``text`` has a format as well.
    """
    tools = given.get("tools")
    if isinstance(tools, Iterable) and not isinstance(tools, (str, Mapping)):
        given["tools"] = tools = list(tools)
    functions = {
        str(tool.get("name")): cast("Mapping[str, Any]", tool)
        for tool in (tools if isinstance(tools, list) else ())
        if isinstance(tool, Mapping) and tool.get("type") == "function"
    }
    kind = given.pop("text_format", None)
    if kind is None or is_omitted(kind):
        return Wanted(None, functions)
    if not isinstance(kind, type):
        raise ValidationError("text_format is a Pydantic model or a dataclass; for a schema pass text={'format': ...}.")
    text = given.get("text")
    text = {} if text is None or is_omitted(text) else text
    if not isinstance(text, Mapping) or "format" in text:
        raise ValidationError("text_format= and the format in text= say the same: pass one of them.")
    schema = {"type": "json_schema", "name": kind.__name__, "schema": strict_schema(kind), "strict": True}
    given["text"] = {**text, "format": schema}
    return Wanted(kind, functions)


def parse_response(response: Response, wanted: Wanted) -> ParsedResponse[Any]:
    """Return a response with the objects that its texts and calls were asked to be.

    Raises:
        pydantic.ValidationError: A text or arguments do not fit their class.
        GenerationError: Arguments are no JSON.
    """
    parsed = with_record_of(ParsedResponse[Any].from_json(response.to_dict()), response)
    for item in cast("list[Any]", parsed.output or []):
        if item.type == "message":
            for part in item.content:
                if part.type == "output_text":
                    part.parsed = parse_content(part.text, wanted)
        elif item.type == "function_call":
            item.parsed_arguments = parse_arguments(item, wanted)
    return parsed
