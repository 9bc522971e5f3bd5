"""Keyword arguments of one call: tools, tool choice, response format, sampling.

LlamaIndex passes these on unchanged. Here they become an ``LLMRequest``; an argument that is not a field of a request
is merged into the body. Arguments of a call take precedence over those of the constructor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from unified_llm._adapters import call_kwargs
from unified_llm._adapters.structured_output import read_bound_format
from unified_llm._client.call_options import CallOptions
from unified_llm._client.read_tools import unknown_choice, word_of_choice
from unified_llm.exceptions import ValidationError
from unified_llm.llama_index._constants import NOT_SENT, PLAIN
from unified_llm.llama_index._messages import read_messages
from unified_llm.types.messages import Message, ResponseFormat, Tool
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

    def extended(self, messages: Sequence[Message]) -> NativeCall:
        """Return the same call with further messages of plain text."""
        from llama_index.core.base.llms.types import ChatMessage

        return replace(self, messages=[*self.messages, *(ChatMessage(turn.text, role=turn.role) for turn in messages)])


def read_call(
    messages: Sequence[ChatMessage],
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
        kwargs: The keyword arguments of the call.
        defaults: The client's options.
        fields: Fields of the request that the call has unless it sets them itself.
        refused: Arguments of the constructor, which no call takes.
        stream: Whether the answer is streamed.

    Raises:
        ValidationError: A message, a tool or an option cannot be converted.
    """
    kwargs = {**fields, **kwargs}
    request, options = call_kwargs.read_call(
        read_messages(messages), kwargs, _ARGUMENTS, defaults, refused=refused, stream=stream
    )
    return replace(request, native=NativeCall(messages, kwargs)), options


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
        hint = ": make one with FunctionTool.from_defaults(function)" if callable(tool) else ""
        raise ValidationError(
            f"A tool must be a LlamaIndex tool or a dict in OpenAI's format; got {type(tool).__name__}{hint}."
        ) from error
    if strict is not None:
        data["function"]["strict"] = strict
    return data


def read_tool_choice(choice: Any, names: Sequence[str]) -> str | None:
    """Return ``auto``, ``none``, ``required`` or the name of a tool, from the names of LlamaIndex or a provider.

    Raises:
        ValidationError: There is no such tool, or the choice is not known.
    """
    word = word_of_choice(choice)
    if word is None or word in names:
        return word if word is None else str(word)
    if isinstance(word, str) and word in _CHOICES:
        return _CHOICES[word]
    if not names:
        return None
    raise unknown_choice(word, ("auto", "required", "none"), names)


def _response_format(value: Any) -> ResponseFormat | None:
    if value is None or isinstance(value, ResponseFormat):
        return value
    return read_bound_format(value if isinstance(value, Mapping) else {})


_ARGUMENTS: Final = call_kwargs.CallArguments(PLAIN, NOT_SENT, _tool, read_tool_choice, _response_format)
