"""A call of a tool that the response has to be: required natively, or asked for by prompt and checked.

Three methods, in this order: the choice is sent (``native``); the tools are offered and the prompt says that one has to
be called (``tool``); the arguments are asked for as JSON, which becomes the call (``prompt``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.outcome import Failure
from unified_llm._core.pairs import conflicts
from unified_llm._core.target import Target
from unified_llm._structured.attempts import REFUSALS, Emulation, Reader, Unchanged
from unified_llm._structured.methods import add_instruction, rewrite_request, supported_methods, write_schema
from unified_llm._structured.read_call import CallReader
from unified_llm.types.messages import Message, OutputMethod, ResponseFormat, Tool
from unified_llm.types.requests import LLMRequest

# What the message of a refusal is about that concerns the choice, and nothing else in the request. OpenRouter answers
# 404, "No endpoints found that support the provided 'tool_choice' value".
_CHOICE: Final = re.compile(r"tool.?choice|calling.?(?:config|mode)", re.IGNORECASE)
_REFUSALS: Final = REFUSALS | {"model_not_found", "not_found"}


class ForcedCall(Emulation):
    """State of one call that has to be answered by a call of a tool.

    Args:
        request: The request; its ``tool_choice`` is ``required`` or the name of a tool.
    """

    def __init__(self, request: LLMRequest) -> None:
        super().__init__(request)
        named = tuple(tool for tool in request.tools if tool.name == request.tool_choice)
        self._tools = named or request.tools

    def missing(self, target: Target) -> str | None:
        """Say why a target cannot be asked in any way; return None when it can."""
        return None if self.methods(target) else "it cannot be required to call a given tool"

    def refuses_method(self, failure: Failure) -> bool:
        """Return whether a target that refused a request may accept it in another form."""
        is_about_choice = failure.kind in _REFUSALS and _CHOICE.search(failure.detail or "") is not None
        return is_about_choice or super().refuses_method(failure)

    def methods(self, target: Target) -> tuple[OutputMethod, ...]:
        """Return the ways in which a target can be asked, in the order in which they are tried."""
        if target.format == "wrapped":
            return ("native",) if "tool_choice" in target.features else ("tool",)
        is_exclusive = "thinking with a forced tool" in conflicts(self.request, target)
        native: tuple[OutputMethod, ...] = ("native",) if "tool_choice" in target.features and not is_exclusive else ()
        # What calls of a provider's own tool look like is not known here.
        can_emulate = not target.last_resort and all(tool.builtin is None for tool in self._tools)
        return (*native, "tool", "prompt") if can_emulate else native

    def rewrite(self, target: Target, method: OutputMethod) -> LLMRequest:
        """Return the request that asks a target in one of its ways."""
        if target.format == "wrapped" and method == "native":
            return self.request
        request = replace(self.request, response_format=None)  # which is for text, and none is asked for
        if method == "native":
            return request
        names = ", ".join(tool.name for tool in self._tools)
        if method == "tool":
            which = f"the function {names}" if len(self._tools) == 1 else f"one of these functions: {names}"
            instruction = f"Answer with a call of {which}. Do not answer with text."
            messages = add_instruction(request.messages, instruction)
            native = request.native
            if native and target.format == "wrapped":  # the conversation in its own form can only be extended
                native = native.extended((Message.user(instruction),))
            return replace(request, tools=self._tools, tool_choice=None, messages=messages, native=native)
        output = ResponseFormat(call_schema(self._tools), "call", methods=("native", "prompt"))
        request = replace(
            request,
            tools=(),
            tool_choice=None,
            parallel_tool_calls=None,
            response_format=output,
            messages=add_instruction(request.messages, _describe(self._tools)),
        )
        return rewrite_request(request, output, target, supported_methods(request, output, target)[0])

    def reader(self, target: Target, method: OutputMethod) -> Reader:
        """Return the reader of the events of an attempt.

        A call that was required natively needs none, except at servers that hold any model: they accept the choice,
        and the model or its parser may ignore it. What calls of a provider's own tool look like is not known here.
        """
        is_certain = not target.quirks.any_model or any(tool.builtin is not None for tool in self._tools)
        if method != "native":
            return CallReader(method, self._tools)
        allowed = self.request.text_tool_calls
        allowed = target.defaults.get("text_tool_calls") if allowed is None else allowed
        return Unchanged() if is_certain else CallReader(method, self._tools, reads_text=allowed is not False)


def call_schema(tools: tuple[Tool, ...]) -> Mapping[str, Any]:
    """Return the schema of a call as JSON: the arguments of a single tool, or the name of one of several and those."""
    if len(tools) == 1:
        return {"type": "object", **({} if tools[0].parameters else {"properties": {}}), **tools[0].parameters}
    properties = {"name": {"type": "string", "enum": [tool.name for tool in tools]}, "arguments": {"type": "object"}}
    return {"type": "object", "properties": properties, "required": ["name", "arguments"]}


def _describe(tools: tuple[Tool, ...]) -> str:
    if len(tools) == 1:
        about = f": {tools[0].description}" if tools[0].description else ""
        return f"Give the arguments for a call of the function {tools[0].name}{about}."
    lines = [f"{tool.name}: {tool.description}\nIts arguments: {write_schema(tool.parameters)}" for tool in tools]
    return "Choose one of these functions, and give its name and arguments.\n" + "\n".join(lines)
