"""Read the keyword arguments of one call: tools, tool choice, response format, sampling.

LangChain passes them on from ``bind``, ``bind_tools`` and ``invoke`` alike. Those that are fields of a request become
one; the others go into the request body unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.utils.function_calling import convert_to_openai_function, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from unified_llm._adapters import call_kwargs
from unified_llm._adapters.structured_output import BoundFormat, read_bound_format
from unified_llm._client.call_options import CallOptions
from unified_llm._client.read_tools import list_of_tools, unknown_choice, word_of_choice
from unified_llm.exceptions import ValidationError
from unified_llm.langchain._constants import NOT_SENT, PLAIN, ToolLike
from unified_llm.langchain._messages import read_messages
from unified_llm.types.messages import Message, ResponseFormat, Tool
from unified_llm.types.requests import LLMRequest

_TOOL_CHOICES: Final[Mapping[str, str]] = {"any": "required", "required": "required", "auto": "auto", "none": "none"}


@dataclass(frozen=True, slots=True)
class NativeCall:
    """The arguments of a call as LangChain passed them, for wrapped models in the chain.

    Attributes:
        messages: LangChain's messages.
        stop: Texts at which to stop.
        options: The keyword arguments of the call.
    """

    messages: Sequence[BaseMessage] = field(repr=False)
    stop: tuple[str, ...]
    options: Mapping[str, Any] = field(repr=False)

    def extended(self, messages: Sequence[Message]) -> NativeCall:
        """Return the same call with further messages of plain text."""
        added = [{"assistant": AIMessage, "user": HumanMessage}[turn.role](turn.text) for turn in messages]
        return replace(self, messages=[*self.messages, *added])


def read_call(
    messages: Sequence[BaseMessage],
    stop: Sequence[str] | None,
    kwargs: Mapping[str, Any],
    defaults: CallOptions,
    *,
    fields: Mapping[str, Any],
    refused: frozenset[str],
    stream: bool,
) -> tuple[LLMRequest, CallOptions]:
    """Make the request and the options of one call.

    Args:
        messages: The conversation.
        stop: Texts at which to stop, in place of the constructor's.
        kwargs: The keyword arguments of the call.
        defaults: The client's options.
        fields: Fields of the request that the call has unless it sets them itself.
        refused: Arguments of the constructor, which no call takes.
        stream: Whether the response is streamed.

    Raises:
        ValidationError: A message, a tool or an option cannot be translated.
    """
    kwargs = {**fields, **kwargs}
    given = kwargs if stop is None else {**kwargs, "stop": stop}
    request, options = call_kwargs.read_call(
        read_messages(messages), given, _ARGUMENTS, defaults, refused=refused, stream=stream
    )
    return replace(request, native=NativeCall(messages, request.stop, kwargs)), options


# A dict with one of these fields and without a type is a function, or a schema that lacks its name.
_FUNCTION_FIELDS: Final = frozenset({
    "name", "title", "description", "function", "toolSpec", "parameters", "input_schema", "args_schema",
    "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "oneOf", "allOf", "not",
    "$ref", "$defs", "definitions", "$schema", "$id",
})  # fmt: skip


def _is_builtin(tool: Mapping[str, Any]) -> bool:
    """Return whether a dict is a provider's own tool; Gemini's have no type: ``{"google_search": {...}}``."""
    kind = tool.get("type")
    if kind is not None:
        return kind not in {"function", "custom", "object"} and "input_schema" not in tool
    settings = all(value is None or isinstance(value, (Mapping, list)) for value in tool.values())
    return bool(tool) and settings and _FUNCTION_FIELDS.isdisjoint(tool)


def convert_tool(tool: ToolLike, *, strict: bool | None = None) -> dict[str, Any]:
    """Convert a tool into OpenAI's format; return a provider's built-in tool (web search ...) unchanged.

    Raises:
        ValidationError: The argument is no tool.
    """
    if isinstance(tool, dict) and _is_builtin(tool):
        return dict(tool)
    if isinstance(tool, dict) and tool.get("type") == "function" and "function" not in tool:  # OpenAI's Responses API
        tool = {name: value for name, value in tool.items() if name != "type"}
    try:
        return convert_to_openai_tool(tool, strict=strict)  # type: ignore[arg-type] # every tool is one of these
    except (ValueError, TypeError, KeyError) as problem:
        raise ValidationError(
            "A tool is a LangChain tool, a function with type hints and a docstring, a Pydantic class, or a dict with "
            f"a name and a JSON schema; got {type(tool).__name__}."
        ) from problem


def read_tool_choice(choice: Any, names: Sequence[str]) -> str | None:
    """Convert LangChain's or a provider's form of ``tool_choice`` into ours.

    Args:
        choice: ``tool_choice`` as the caller passed it.
        names: The names of the tools.

    Returns:
        ``auto``, ``none``, ``required`` or the name of a tool; None if there is no choice or no tool.

    Raises:
        ValidationError: The choice is unknown, or names a tool that does not exist.
    """
    word = word_of_choice(choice)
    if word is None or word is False:
        return None
    if word is True:
        return "required"
    if word in names:
        return word
    if word in _TOOL_CHOICES:
        return _TOOL_CHOICES[word]
    if not names:
        return None
    raise unknown_choice(word, ("auto", "any", "none"), names)


def read_response_format(given: Any, *, strict: bool | None = None) -> dict[str, Any] | None:
    """Convert a schema into OpenAI's ``response_format``; return one that is in that format already.

    Args:
        given: A ``response_format``, a schema or None.
        strict: Ask the provider to enforce the schema.

    Raises:
        ValidationError: The argument is neither a response format nor a schema.
    """
    if given is None or isinstance(given, BoundFormat):
        return given
    if isinstance(given, Mapping) and given.get("type") in {"text", "json_object", "json_schema"}:
        return dict(given)
    if isinstance(given, Mapping) and isinstance(given.get("schema"), Mapping):
        json_schema: dict[str, Any] = {"name": "answer", **given}
    else:
        json_schema = _read_schema(given, strict=strict)
    if strict is not None:
        json_schema["strict"] = strict
    return {"type": "json_schema", "json_schema": json_schema}


def _read_schema(schema: Any, *, strict: bool | None) -> dict[str, Any]:
    """Convert a schema into OpenAI's ``json_schema`` object: name, description, and the schema without references."""
    if isinstance(schema, dict) and "properties" in schema and "title" not in schema:
        schema = {"title": "answer", **schema}
    try:
        function = convert_to_openai_function(schema, strict=strict or None)
    except (ValueError, TypeError, KeyError) as problem:
        raise ValidationError(
            "A schema is a Pydantic class, a TypedDict or a JSON schema with properties and a title; "
            f"got {type(schema).__name__}."
        ) from problem
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    json_schema = {"name": function["name"], "schema": parameters}
    return {**json_schema, "description": function["description"]} if function.get("description") else json_schema


def make_bind_options(
    tools: Sequence[ToolLike],
    tool_choice: Any,
    *,
    strict: bool | None,
    parallel_tool_calls: bool | None,
    response_format: Any,
) -> dict[str, Any]:
    """Make the keyword arguments that ``bind_tools`` binds.

    An empty list of tools is dropped: some providers refuse it.

    Raises:
        ValidationError: An item is no tool, or the choice names none of the tools.
    """
    options: dict[str, Any] = {}
    if list_of_tools(tools):
        schemas = [convert_tool(tool, strict=strict) for tool in tools]
        options["tools"] = schemas
        names = [_make_tool(schema).name for schema in schemas]
        if (choice := read_tool_choice(tool_choice, names)) is not None:
            options["tool_choice"] = choice
        if parallel_tool_calls is not None:
            options["parallel_tool_calls"] = parallel_tool_calls
    if (read_format := read_response_format(response_format)) is not None:
        options["response_format"] = read_format
    return options


def is_pydantic_class(schema: Any) -> bool:
    """Return whether a schema is a Pydantic class, of version 1 or 2."""
    return isinstance(schema, type) and is_basemodel_subclass(schema)


def _read_tool(tool: ToolLike) -> Tool:
    return _make_tool(convert_tool(tool))


def _make_tool(schema: Mapping[str, Any]) -> Tool:
    """Make a tool of what ``convert_tool`` returns; one of Gemini's own has the name of its only field."""
    tool = Tool.from_dict(schema)
    return replace(tool, name=next(iter(schema))) if tool.builtin and not schema.keys() & {"type", "name"} else tool


def _read_response_format(given: Any) -> ResponseFormat | None:
    response_format = read_response_format(given)
    return read_bound_format(response_format) if response_format else None


_ARGUMENTS: Final = call_kwargs.CallArguments(PLAIN, NOT_SENT, _read_tool, read_tool_choice, _read_response_format)
