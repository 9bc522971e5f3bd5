"""OpenAI's custom tools, whose calls have free text in place of arguments.

A call of one is a ``ToolCall`` whose only argument is ``input``, so that it can be run, stored and shown to another
provider's model like any other; sent back to a target that is offered the tool, it is a custom call again. Source:
https://platform.openai.com/docs/guides/function-calling#custom-tools.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from unified_llm._formats.json_values import is_object
from unified_llm._lib.bounded_json import dump, scrub
from unified_llm.types.messages import Tool, ToolCall

OPENING: Final = '{"input":"'
CLOSING: Final = '"}'
"""Text before and after the escaped input in the arguments of a streamed call."""


def is_custom(tool: Tool) -> bool:
    """Return whether the tool is a custom tool of OpenAI's."""
    return tool.builtin is not None and tool.builtin.get("type") == "custom"


def custom_names(tools: Iterable[Tool]) -> frozenset[str]:
    """Return the names of the custom tools among these."""
    return frozenset(tool.name for tool in tools if is_custom(tool))


def write_chat_tool(tool: Tool) -> dict[str, Any]:
    """Write a custom tool of either format for Chat Completions, which has its fields in an object of their own."""
    fields = _fields_of(tool)
    grammar = fields.get("format")
    if is_object(grammar) and grammar.get("type") == "grammar" and "grammar" not in grammar:
        rules = {name: value for name, value in grammar.items() if name != "type"}
        fields["format"] = {"type": "grammar", "grammar": rules}
    return {"type": "custom", "custom": fields}


def write_responses_tool(tool: Tool) -> dict[str, Any]:
    """Write a custom tool of either format for the Responses API."""
    fields = _fields_of(tool)
    grammar = fields.get("format")
    if is_object(grammar) and is_object(rules := grammar.get("grammar")):
        fields["format"] = {"type": "grammar", **rules}
    return {"type": "custom", **fields}


def _fields_of(tool: Tool) -> dict[str, Any]:
    builtin = dict(tool.builtin or {})
    inner = builtin.get("custom")
    fields = dict(inner) if isinstance(inner, Mapping) else builtin
    return {"name": tool.name} | {name: value for name, value in fields.items() if name != "type"}


def custom_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return the choice of a custom tool, made from the choice of a function in the same format."""
    return {
        "custom" if key == "function" else key: "custom" if value == "function" else value
        for key, value in choice.items()
    }


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
