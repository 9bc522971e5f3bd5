"""Tool calls that a model writes as text, where the server's parser does not know the model's way of writing them.

``call_scanner`` finds what may be calls; here calls of offered tools are made of it, if all of it is such calls.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

from unified_llm._formats.call_scanner import ARGUMENT_FIELDS, FIELDS, NAME_FIELDS, WRAPPER_FIELDS, FoundCall
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_list, is_object, json_text, text_or_none
from unified_llm._lib.bounded_json import JSONError, dump, parse_lenient
from unified_llm._lib.json_schema import find_mismatch, json_types
from unified_llm._lib.python_call import read_arguments
from unified_llm.types.messages import Tool, ToolCall
from unified_llm.types.requests import LLMRequest

# Parts that models put around the name of a tool: functions.add, add:0, add<|channel|>commentary.
_NAME_PREFIX: Final = re.compile(r"(?:functions?|tools?|default_api)[.:/]")
_NAME_SUFFIX: Final = re.compile(r"(?:<\|.*|:\d{0,4})\Z", re.DOTALL)
_STRING: Final[frozenset[str]] = frozenset({"string"})


def read_calls(
    text: str,
    found: Sequence[FoundCall],
    tools: Sequence[Tool],
    request: LLMRequest | None,
    *,
    identifiers: Identifiers | None = None,
) -> list[ToolCall]:
    """Return the calls of a text; none unless every part is a call of an offered tool with fitting arguments.

    A call that stands word for word in the request, white space aside, is quoted and not made.

    Args:
        text: The whole text.
        found: The parts of it that may be calls.
        tools: The offered tools.
        request: The request; None where a call may be one that the request quotes.
        identifiers: Those of the response's calls so far; None where all of them are in this text.
    """
    by_name = {tool.name: tool for tool in tools}
    calls: list[ToolCall] = []
    identifiers = Identifiers() if identifiers is None else identifiers
    for part in found:
        read = _read_part(text, part, by_name)
        if not read:
            return []
        for identifier, name, arguments in read:
            tool = by_name.get(offered_name(name, by_name))
            if tool is None or not _fits(arguments, tool):
                return []
            call = ToolCall(identifiers.take(identifier), tool.name, arguments, json_text(arguments), from_text=True)
            calls.append(call)
    if not calls or request is None:
        return calls
    return [] if is_quoted([text, *(text[part.start : part.end] for part in found)], request) else calls


def offered_name(name: str, offered: Container[str]) -> str:
    """Return the offered tool's name that a model meant, without what it put around it; else the name as it is."""
    if name in offered:
        return name
    bare = _NAME_SUFFIX.sub("", name.strip())
    while bare not in offered and (prefix := _NAME_PREFIX.match(bare)):
        bare = bare[prefix.end() :]
    return bare if bare in offered else name


_Read = list[tuple[object, str, dict[str, Any]]]


def _read_part(text: str, part: FoundCall, tools: Mapping[str, Tool]) -> _Read:
    """Return identifier, name and arguments of each call in a part; none if it is no call."""
    value: object = None
    if part.json is not None:
        try:
            value = parse_lenient(text[part.json : part.end])
        except JSONError:
            return []
    if part.name is None:
        return _read_objects(value)
    if part.python is not None:
        arguments = read_arguments(text[part.python : part.end])
        return [] if arguments is None else [(None, part.name, arguments)]
    if part.json is not None:
        return [(None, part.name, value)] if is_object(value) else []
    tool = tools.get(offered_name(part.name, tools))
    if tool is None or len(part.names) != len(part.values):
        return []
    names = (text[start:end].strip() for start, end in part.names)
    values = (text[start:end] for start, end in part.values)
    return [(None, part.name, _read_fields(dict(zip(names, values, strict=True)), tool))]


def _read_objects(value: object) -> _Read:
    """Read a call as an object, or the list of them in ``tool_calls``."""
    if is_object(value) and len(value) == 1 and (wrapper := next(iter(value))) in WRAPPER_FIELDS:
        value = value[wrapper]
    if not is_object(value) or not FIELDS.issuperset(value):
        return []
    if "tool_calls" in value:
        calls = value["tool_calls"] if is_list(value["tool_calls"]) and len(value) == 1 else []
        read = [_read_objects(call) if "tool_calls" not in call else [] for call in calls if is_object(call)]
        return [call for one in read for call in one] if all(read) and len(read) == len(calls) else []
    inner = value.get("function")
    fields = {**value, **inner} if is_object(inner) else value
    if not FIELDS.issuperset(fields):
        return []
    names = [name for known in NAME_FIELDS if (name := text_or_none(fields.get(known))) is not None]
    arguments = [fields[known] for known in ARGUMENT_FIELDS if known in fields]
    if len(names) != 1 or len(arguments) != 1:
        return []
    read_arguments = _as_object(arguments[0])
    identifier = text_or_none(value.get("id")) or text_or_none(value.get("tool_call_id"))
    return [] if read_arguments is None else [(identifier, names[0], read_arguments)]


def _as_object(arguments: object) -> dict[str, Any] | None:
    """Return arguments, which some models write as JSON in a JSON string; None for anything but an object."""
    if arguments is None:
        return {}
    if isinstance(arguments, str):
        try:
            arguments = parse_lenient(arguments)
        except JSONError:
            return None
    return arguments if is_object(arguments) else None


def _read_fields(fields: Mapping[str, str], tool: Tool) -> dict[str, Any]:
    """Read arguments that came as texts: as strings where the schema has strings, else as JSON."""
    properties = tool.parameters.get("properties")
    schemas: Mapping[str, Any] = properties if isinstance(properties, Mapping) else {}
    arguments: dict[str, Any] = {}
    for name, written in fields.items():
        text = written.removeprefix("\n").removesuffix("\n")
        schema = schemas.get(name)
        arguments[name] = text
        if isinstance(schema, Mapping) and json_types(schema, tool.parameters) != _STRING:
            try:
                arguments[name] = parse_lenient(text)
            except JSONError:
                continue
    return arguments


def _fits(arguments: Mapping[str, Any], tool: Tool) -> bool:
    is_description = bool(arguments) and arguments == tool.parameters  # the tool's schema in the place of arguments
    return not is_description and find_mismatch(arguments, tool.parameters) is None


def is_quoted(parts: Sequence[str], request: LLMRequest) -> bool:
    """Return whether one of these texts stands in the request, white space and escapes aside."""
    texts = [message.text for message in request.messages]
    texts += [f"{tool.description} {_dumped(tool.parameters)}" for tool in request.tools]
    sent = _without_space("\n".join(texts))
    return any(_without_space(part) in sent for part in parts)


def _dumped(schema: Mapping[str, Any]) -> str:
    try:
        return dump(schema)
    except JSONError:
        return ""


def _without_space(text: str) -> str:
    return re.sub(r"[\s\\]+", "", text)
