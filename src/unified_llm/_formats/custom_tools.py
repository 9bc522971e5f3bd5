"""OpenAI's custom tools, whose calls have free text in place of arguments.

A call of one is a ``ToolCall`` whose only argument is ``input``, so that it can be run, stored and shown to another
provider's model like any other; sent back to a target that is offered the tool, it is a custom call again. Source:
https://platform.openai.com/docs/guides/function-calling#custom-tools.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from unified_llm._lib.bounded_json import dump, scrub
from unified_llm.types.messages import Tool, ToolCall

OPENING: Final = '{"input":"'
CLOSING: Final = '"}'
"""What stands before and after the escaped input in the arguments of a call, for streams."""


def is_custom(tool: Tool) -> bool:
    """Return whether the tool is a custom tool of OpenAI's."""
    return tool.builtin is not None and tool.builtin.get("type") == "custom"


def custom_name(tool: Tool) -> str:
    """Return the name of a custom tool, which the chat format has in an object of its own."""
    inner = (tool.builtin or {}).get("custom")
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else tool.name


def custom_names(tools: Iterable[Tool]) -> frozenset[str]:
    """Return the names of the custom tools among these."""
    return frozenset(custom_name(tool) for tool in tools if is_custom(tool))


def escape(text: str) -> str:
    """Return a fragment of the input as it stands inside a JSON string."""
    return dump(scrub(text))[1:-1]


def arguments_of(text: str) -> str:
    """Return the arguments of a call with this input, as JSON text."""
    return OPENING + escape(text) + CLOSING


def input_of(call: ToolCall) -> str:
    """Return the input of a call of a custom tool."""
    text = call.arguments.get("input")
    return text if isinstance(text, str) and call.error is None else call.raw_arguments
