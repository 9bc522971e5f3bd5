"""Keyword arguments of one call: tools, tool choice, response format, sampling.

LlamaIndex passes these on unchanged. Here they become an ``LLMRequest``; an argument that is not a field of a request
is merged into the body. Arguments of a call take precedence over those of the constructor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from unified_llm._adapters.call_kwargs import rename_kwargs, split_kwargs
from unified_llm.exceptions import ValidationError
from unified_llm.llama_index._constants import NOT_SENT, PLAIN, REQUEST_FIELDS
from unified_llm.llama_index._messages import read_messages
from unified_llm.types.messages import ResponseFormat, Tool
from unified_llm.types.requests import LLMRequest

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.tools.types import BaseTool

_CHOICES: Final[Mapping[str, str]] = {"any": "required", "required": "required", "auto": "auto", "none": "none"}


@dataclass(frozen=True, slots=True)
class NativeCall:
    """The messages and arguments of a call as LlamaIndex passed them, for wrapped LLMs in the chain."""

    messages: Sequence[ChatMessage] = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)


def read_call(
    messages: Sequence[ChatMessage], options: Mapping[str, Any], refused: frozenset[str]
) -> tuple[LLMRequest, dict[str, Any]]:
    """Convert the arguments of one call to a request.

    Args:
        messages: The conversation.
        options: The keyword arguments of the call.
        refused: Arguments of the constructor. Those that no call takes are refused: a key must not end up in a body.

    Returns:
        The request, and the client's own options (``deadline``, ``timeout`` ...).

    Raises:
        ValidationError: A message, a tool or an option cannot be converted.
    """
    kwargs = rename_kwargs(options, refused, REQUEST_FIELDS)
    stop = kwargs.pop("stop", None) or ()
    tools = tuple(_tool(tool) for tool in kwargs.pop("tools", None) or ())
    choice = read_tool_choice(kwargs.pop("tool_choice", None), [tool.name for tool in tools])
    response_format = kwargs.pop("response_format", None)
    plain, limits, body = split_kwargs(kwargs, PLAIN, NOT_SENT, tools=bool(tools))
    request = LLMRequest(
        read_messages(messages),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        tools=tools,
        tool_choice=choice if tools else None,
        response_format=_response_format(response_format),
        extra_body=body,
        native=NativeCall(messages, options),
        **plain,
    )
    return request, limits


def _tool(tool: Any) -> Tool:
    if isinstance(tool, Tool):
        return tool
    return Tool.from_dict(tool if isinstance(tool, Mapping) else tool_to_dict(tool))


def tool_to_dict(tool: BaseTool, *, strict: bool | None = None) -> dict[str, Any]:
    """Return a LlamaIndex tool as a dict in OpenAI's format, which LlamaIndex's observers can serialise.

    Raises:
        ValidationError: It is not a tool.
    """
    try:
        data = tool.metadata.to_openai_tool(skip_length_check=True)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValidationError(
            f"A tool must be a LlamaIndex tool or a dict in OpenAI's format; got {type(tool).__name__}."
        ) from error
    if strict is not None:
        data["function"]["strict"] = strict
    return data


def read_tool_choice(choice: Any, names: Sequence[str]) -> str | None:
    """Return ``auto``, ``none``, ``required`` or the name of a tool, from the names of LlamaIndex or a provider.

    Raises:
        ValidationError: There is no such tool, or the choice is not known.
    """
    if isinstance(choice, Mapping):
        function = choice.get("function")
        choice = (function.get("name") if isinstance(function, Mapping) else choice.get("name")) or choice.get("type")
    if choice is None or choice in names:
        return choice if choice is None else str(choice)
    if choice in _CHOICES:
        return _CHOICES[choice]
    if not names:
        return None
    raise ValidationError(
        f"tool_choice must be one of 'auto', 'required', 'none', or the name of a tool: {', '.join(map(repr, names))}."
    )


def _response_format(value: Any) -> ResponseFormat | None:
    if value is None or isinstance(value, ResponseFormat):
        return value
    return ResponseFormat.from_dict(value if isinstance(value, Mapping) else {})
