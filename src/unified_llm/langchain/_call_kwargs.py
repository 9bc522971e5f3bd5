"""What a caller may pass with one call: tools, a choice among them, a form of the answer, sampling.

LangChain hands these on as keyword arguments, from ``bind``, ``bind_tools`` and ``invoke`` alike. Here they become a
request; what is no field of a request goes into its body as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.messages import BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_function, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from unified_llm._adapters.call_kwargs import rename_kwargs, split_kwargs
from unified_llm.exceptions import ValidationError
from unified_llm.langchain._constants import NOT_SENT, PLAIN, REQUEST_FIELDS, ToolLike
from unified_llm.langchain._messages import read_messages
from unified_llm.types.messages import ResponseFormat, Tool
from unified_llm.types.requests import LLMRequest

_CHOICES: Final[Mapping[str, str]] = {"any": "required", "required": "required", "auto": "auto", "none": "none"}


@dataclass(frozen=True, slots=True)
class NativeCall:
    """A call in LangChain's own form, for a model object of LangChain in the chain."""

    messages: Sequence[BaseMessage] = field(repr=False)
    stop: tuple[str, ...]
    options: Mapping[str, Any] = field(repr=False)


def read_call(
    messages: Sequence[BaseMessage], stop: Sequence[str] | None, options: Mapping[str, Any], refused: frozenset[str]
) -> tuple[LLMRequest, dict[str, Any]]:
    """Translate one call.

    Args:
        messages: The conversation.
        stop: Texts at which to stop, in place of the constructor's.
        options: The keyword arguments of the call.
        refused: Arguments of the constructor. Those that no call takes are refused: a key must not end up in a body.

    Returns:
        The request, and what the client takes beside it (``deadline``, ``timeout`` ...).

    Raises:
        ValidationError: A message, a tool or an option cannot be translated.
    """
    given = rename_kwargs(options, refused, REQUEST_FIELDS)
    stop = _stop(stop if stop is not None else given.pop("stop", None))
    tools = tuple(Tool.from_dict(tool_schema(tool)) for tool in given.pop("tools", None) or ())
    choice = tool_choice(given.pop("tool_choice", None), [tool.name for tool in tools])
    form = response_format(given.pop("response_format", None))
    plain, limits, body = split_kwargs(given, PLAIN, NOT_SENT, tools=bool(tools))
    request = LLMRequest(
        read_messages(messages),
        stop=stop,
        tools=tools,
        tool_choice=choice if tools else None,
        response_format=ResponseFormat.from_dict(form) if form else None,
        extra_body=body,
        native=NativeCall(messages, stop, options),
        **plain,
    )
    return request, limits


def _stop(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def tool_schema(tool: ToolLike, *, strict: bool | None = None) -> dict[str, Any]:
    """A tool in OpenAI's form; a provider's own tool (web search ...) as it is.

    Raises:
        ValidationError: It is no tool.
    """
    kind = tool.get("type") if isinstance(tool, dict) else None
    if isinstance(tool, dict) and kind == "function" and "function" not in tool:  # OpenAI's Responses API
        tool = {name: value for name, value in tool.items() if name != "type"}
    elif isinstance(tool, dict) and kind not in {None, "function", "custom", "object"} and "input_schema" not in tool:
        return dict(tool)
    try:
        return convert_to_openai_tool(tool, strict=strict)  # type: ignore[arg-type] # every tool is one of these
    except (ValueError, TypeError, KeyError) as problem:
        raise ValidationError(
            "A tool is a LangChain tool, a function with type hints and a docstring, a Pydantic class, or a dict with "
            f"a name and a JSON schema; got {type(tool).__name__}."
        ) from problem


def tool_choice(choice: Any, names: Sequence[str]) -> str | None:
    """``auto``, ``none``, ``required`` or the name of a tool, from whatever LangChain or a provider calls them.

    Raises:
        ValidationError: There is no such tool, or the choice is none that is known.
    """
    if choice is None or choice is False:
        return None
    if choice is True:
        return "required"
    if isinstance(choice, Mapping):
        function = choice.get("function")
        choice = (function.get("name") if isinstance(function, Mapping) else choice.get("name")) or choice.get("type")
    if choice in names:
        return str(choice)
    if choice in _CHOICES:
        return _CHOICES[choice]
    if not names:
        return None
    raise ValidationError(
        f"tool_choice must be one of 'auto', 'any', 'none', or the name of a tool: {', '.join(map(repr, names))}."
    )


def response_format(form: Any, *, strict: bool | None = None) -> dict[str, Any] | None:
    """OpenAI's ``response_format``, from that or from a schema.

    Raises:
        ValidationError: It is neither.
    """
    if form is None:
        return None
    if isinstance(form, Mapping) and form.get("type") in {"text", "json_object", "json_schema"}:
        return dict(form)
    if isinstance(form, Mapping) and isinstance(form.get("schema"), Mapping):
        wrapped: dict[str, Any] = {"name": "answer", **form}
    else:
        wrapped = _schema(form, strict=strict)
    if strict is not None:
        wrapped["strict"] = strict
    return {"type": "json_schema", "json_schema": wrapped}


def _schema(form: Any, *, strict: bool | None) -> dict[str, Any]:
    """A schema beside its name, in the dialect that OpenAI's tools use: without references."""
    if isinstance(form, dict) and "properties" in form and "title" not in form:
        form = {"title": "answer", **form}
    try:
        function = convert_to_openai_function(form, strict=strict or None)
    except (ValueError, TypeError, KeyError) as problem:
        raise ValidationError(
            "A schema is a Pydantic class, a TypedDict or a JSON schema with properties and a title; "
            f"got {type(form).__name__}."
        ) from problem
    wrapped = {"name": function["name"], "schema": function.get("parameters") or {"type": "object", "properties": {}}}
    return {**wrapped, "description": function["description"]} if function.get("description") else wrapped


def bind_options(
    tools: Sequence[ToolLike],
    choice: Any,
    *,
    strict: bool | None,
    parallel: bool | None,
    form: Any,
) -> dict[str, Any]:
    """What ``bind_tools`` binds. An empty list of tools is dropped: some providers refuse one.

    Raises:
        ValidationError: Something is no tool, or the choice names none of them.
    """
    options: dict[str, Any] = {}
    if tools:
        schemas = [tool_schema(tool, strict=strict) for tool in tools]
        options["tools"] = schemas
        if (chosen := tool_choice(choice, [Tool.from_dict(schema).name for schema in schemas])) is not None:
            options["tool_choice"] = chosen
        if parallel is not None:
            options["parallel_tool_calls"] = parallel
    if (shape := response_format(form)) is not None:
        options["response_format"] = shape
    return options


def is_pydantic(schema: Any) -> bool:
    """Whether a schema is a Pydantic class, of version 1 or 2."""
    return isinstance(schema, type) and is_basemodel_subclass(schema)
