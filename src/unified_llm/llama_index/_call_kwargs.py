"""What a caller may pass with one call: tools, a choice among them, a form of the answer, sampling.

LlamaIndex hands these on as keyword arguments. Here they become a request; what is no field of a request goes into its
body as it is. What a call says wins over what the constructor said.
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
    """A call in LlamaIndex's own form, for a model object of LlamaIndex in the chain."""

    messages: Sequence[ChatMessage] = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)


def read_call(
    messages: Sequence[ChatMessage], options: Mapping[str, Any], refused: frozenset[str]
) -> tuple[LLMRequest, dict[str, Any]]:
    """Translate one call.

    Args:
        messages: The conversation.
        options: The keyword arguments of the call.
        refused: Arguments of the constructor. Those that no call takes are refused: a key must not end up in a body.

    Returns:
        The request, and what the client takes beside it (``deadline``, ``timeout`` ...).

    Raises:
        ValidationError: A message, a tool or an option cannot be translated.
    """
    given = rename_kwargs(options, refused, REQUEST_FIELDS)
    stop = given.pop("stop", None) or ()
    tools = tuple(_tool(tool) for tool in given.pop("tools", None) or ())
    choice = tool_choice(given.pop("tool_choice", None), [tool.name for tool in tools])
    form = given.pop("response_format", None)
    plain, limits, body = split_kwargs(given, PLAIN, NOT_SENT, tools=bool(tools))
    request = LLMRequest(
        read_messages(messages),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        tools=tools,
        tool_choice=choice if tools else None,
        response_format=_form(form),
        extra_body=body,
        native=NativeCall(messages, options),
        **plain,
    )
    return request, limits


def _tool(tool: Any) -> Tool:
    if isinstance(tool, Tool):
        return tool
    return Tool.from_dict(tool if isinstance(tool, Mapping) else offer(tool))


def offer(tool: BaseTool, *, strict: bool | None = None) -> dict[str, Any]:
    """A tool of LlamaIndex's in OpenAI's form: plain data, as observers of a call want it.

    Raises:
        ValidationError: It is no tool.
    """
    try:
        offered = tool.metadata.to_openai_tool(skip_length_check=True)
    except (AttributeError, TypeError, ValueError) as problem:
        raise ValidationError(
            f"A tool is a tool of LlamaIndex's or a dict in OpenAI's form; got {type(tool).__name__}."
        ) from problem
    if strict is not None:
        offered["function"]["strict"] = strict
    return offered


def tool_choice(choice: Any, names: Sequence[str]) -> str | None:
    """``auto``, ``none``, ``required`` or the name of a tool, from whatever LlamaIndex or a provider calls them.

    Raises:
        ValidationError: There is no such tool, or the choice is none that is known.
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


def _form(form: Any) -> ResponseFormat | None:
    if form is None or isinstance(form, ResponseFormat):
        return form
    return ResponseFormat.from_dict(form if isinstance(form, Mapping) else {})
