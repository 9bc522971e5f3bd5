"""Tool calling: offer tools, read tool calls from an answer, and run them.

Models without function calling are asked by prompt, in the format of LlamaIndex's ReAct agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from typing_extensions import override

from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._lib.bounded_json import JSONError, parse_arguments, parse_partial
from unified_llm.exceptions import ValidationError
from unified_llm.llama_index._call_kwargs import tool_to_dict
from unified_llm.llama_index._messages import read_messages

if TYPE_CHECKING:
    from llama_index.core.chat_engine.types import AgentChatResponse
    from llama_index.core.llms.function_calling import FunctionCallingLLM
    from llama_index.core.tools.types import BaseTool, ToolOutput

    from unified_llm.llama_index._react import ReActStep

    _Base = FunctionCallingLLM
else:
    _Base = object  # another Pydantic class would add milliseconds to every import

_Arguments: TypeAlias = Hidden[tuple[str | ChatMessage | None, list[ChatMessage] | None, dict[str, Any]]]
_Choice: TypeAlias = Hidden[tuple[list[ToolSelection], str]]


class ToolCalling(_Base):
    """Methods of a model that offer and call tools."""

    @override
    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the arguments of ``chat``."""
        messages = list(chat_history or ())
        if user_msg is not None:
            messages.append(_user_message(user_msg))
        options: dict[str, Any] = {}
        if tools:
            options["tools"] = [tool_to_dict(tool, strict=strict) for tool in tools]
            if choice := tool_choice or ("required" if tool_required else None):
                options["tool_choice"] = choice
            if not allow_parallel_tool_calls:
                options["parallel_tool_calls"] = False
        return {"messages": messages, **options, **kwargs}

    @override
    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        """Keep only the first call where parallel calls are not allowed: some models ignore the option."""
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if allow_parallel_tool_calls or len(calls) < 2:
            return response
        blocks = [
            block for block in response.message.blocks if not isinstance(block, ToolCallBlock) or block is calls[0]
        ]
        extras = dict(response.message.additional_kwargs)
        extras["tool_calls"] = list(extras.get("tool_calls") or ())[:1]
        message = ChatMessage(role=response.message.role, blocks=blocks, additional_kwargs=extras)
        return response.model_copy(update={"message": message})

    @override
    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,
        **kwargs: Any,
    ) -> list[ToolSelection]:
        """Return the calls in an answer, or in the part of it that a stream has received so far.

        Raises:
            ValueError: There is none, and ``error_on_no_tool_call`` is set.
        """
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if calls:
            whole = isinstance(response.raw, Mapping) and response.raw.get("finish_reason") is not None
            selections = [_to_tool_selection(block, whole=whole) for block in calls]
        elif response.message.additional_kwargs.get("tool_calls"):  # an answer of another LLM object
            message = read_messages([response.message])[0]
            selections = [
                ToolSelection(tool_id=call.id, tool_name=call.name, tool_kwargs=dict(call.arguments))
                for call in message.tool_calls
            ]
        else:
            selections = []
        if not selections and error_on_no_tool_call:
            raise ValueError("Expected at least one tool call, but got 0 tool calls.")
        return selections

    @override
    def predict_and_call(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """Let the model choose a tool, and call it. A model without function calling is asked by prompt.

        Args:
            tools: The tools to choose from.
            user_msg: Appended to the history.
            chat_history: The conversation so far.
            verbose: Print the calls.
            allow_parallel_tool_calls: Allow several calls.
            error_on_no_tool_call: Raise if no tool is chosen, instead of returning the text.
            error_on_tool_error: Raise if a tool fails, instead of returning its error as its output.
            **kwargs: ``tool_choice``, ``tool_required`` and the arguments of ``chat``; ``react_chat_formatter`` and
                ``output_parser`` for models that are asked by prompt.

        Raises:
            ValueError: No tool was chosen, or a tool failed, and the argument above is set.
            LLMError: No target served the request.
        """
        given = Hidden((user_msg, chat_history, kwargs))
        del user_msg, chat_history, kwargs
        with CLEAR_VARIABLES:
            options = {"verbose": verbose, "allow_parallel_tool_calls": allow_parallel_tool_calls}
            choice = self._choose_tools(tools, given, options, strict=error_on_no_tool_call)
            outputs = [_call_tool(selection, tools, verbose=verbose) for selection in choice.value[0]]
            return _to_agent_response(outputs, choice.value[1], strict=error_on_tool_error)

    @override
    async def apredict_and_call(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """Let the model choose a tool, and call it, as ``predict_and_call``; several tools run concurrently."""
        given = Hidden((user_msg, chat_history, kwargs))
        del user_msg, chat_history, kwargs
        with CLEAR_VARIABLES:
            options = {"verbose": verbose, "allow_parallel_tool_calls": allow_parallel_tool_calls}
            choice = await self._achoose_tools(tools, given, options, strict=error_on_no_tool_call)
            outputs = await asyncio.gather(*(_acall_tool(call, tools, verbose=verbose) for call in choice.value[0]))
            return _to_agent_response(outputs, choice.value[1], strict=error_on_tool_error)

    def _choose_tools(
        self, tools: Sequence[BaseTool], given: _Arguments, options: dict[str, Any], *, strict: bool
    ) -> _Choice:
        """Return the calls that the model requests, and its text; ``strict`` raises if there are none."""
        if self.metadata.is_function_calling_model:
            arguments = Hidden(given.value[2] | options)
            response = self.chat_with_tools(tools, *given.value[:2], **arguments.value)
            return self._read_tool_calls(response, strict=strict)
        step = _react_step(tools, given)
        while step.messages:
            step.on_response(self.chat(step.messages, **step.options))
        return Hidden(step.selected_tool(error_on_no_tool_call=strict))

    async def _achoose_tools(
        self, tools: Sequence[BaseTool], given: _Arguments, options: dict[str, Any], *, strict: bool
    ) -> _Choice:
        if self.metadata.is_function_calling_model:
            arguments = Hidden(given.value[2] | options)
            response = await self.achat_with_tools(tools, *given.value[:2], **arguments.value)
            return self._read_tool_calls(response, strict=strict)
        step = _react_step(tools, given)
        while step.messages:
            step.on_response(await self.achat(step.messages, **step.options))
        return Hidden(step.selected_tool(error_on_no_tool_call=strict))

    def _read_tool_calls(self, response: ChatResponse, *, strict: bool) -> _Choice:
        selections = self.get_tool_calls_from_response(response, strict)
        return Hidden((selections, response.message.content or ""))


def _react_step(tools: Sequence[BaseTool], given: _Arguments) -> ReActStep:
    from unified_llm.llama_index._react import ReActStep

    user_msg, chat_history, kwargs = given.value
    return ReActStep(tools, _history(user_msg, chat_history), kwargs)


def _user_message(message: str | ChatMessage) -> ChatMessage:
    return ChatMessage(role=MessageRole.USER, content=message) if isinstance(message, str) else message


def _history(user_msg: str | ChatMessage | None, chat_history: Sequence[ChatMessage] | None) -> list[ChatMessage]:
    return [*(chat_history or ()), *((_user_message(user_msg),) if user_msg is not None else ())]


def _to_tool_selection(block: ToolCallBlock, *, whole: bool) -> ToolSelection:
    """Convert a block. Invalid arguments in a finished answer are dropped: half of a path is another path."""
    arguments: Any = block.tool_kwargs
    if isinstance(arguments, str) and whole:
        try:
            arguments = parse_arguments(arguments)
        except JSONError:
            arguments = {}
    elif isinstance(arguments, str):
        arguments = parse_partial(arguments)
    return ToolSelection(
        tool_id=block.tool_call_id or "",
        tool_name=block.tool_name,
        tool_kwargs=arguments if isinstance(arguments, dict) else {},
    )


def _call_tool(selection: ToolSelection, tools: Sequence[BaseTool], *, verbose: bool) -> ToolOutput:
    from llama_index.core.tools.calling import call_tool_with_selection

    return _unknown_tool_output(selection, tools) or call_tool_with_selection(selection, tools, verbose=verbose)


async def _acall_tool(selection: ToolSelection, tools: Sequence[BaseTool], *, verbose: bool) -> ToolOutput:
    from llama_index.core.tools.calling import acall_tool_with_selection

    return _unknown_tool_output(selection, tools) or await acall_tool_with_selection(selection, tools, verbose=verbose)


def _unknown_tool_output(selection: ToolSelection, tools: Sequence[BaseTool]) -> ToolOutput | None:
    """Return the output of a tool that was not offered (models invent some), or None if it was."""
    if any(tool.metadata.name == selection.tool_name for tool in tools):
        return None
    from llama_index.core.tools.types import ToolOutput

    error = ValidationError(f"There is no tool {selection.tool_name!r}.")
    return ToolOutput(
        tool_name=selection.tool_name,
        content=str(error),
        raw_input=selection.tool_kwargs,
        raw_output=str(error),
        is_error=True,
        exception=error,
    )


def _to_agent_response(outputs: Sequence[ToolOutput], text: str, *, strict: bool) -> AgentChatResponse:
    """Return the tools' outputs, or else the text, as LlamaIndex's response.

    Raises:
        ValueError: A tool failed, and ``strict`` is set.
    """
    from llama_index.core.chat_engine.types import AgentChatResponse

    contents = "\n\n".join(output.content for output in outputs)
    if strict and any(output.is_error for output in outputs):
        raise ValueError(contents)
    return AgentChatResponse(response=contents if outputs else text, sources=list(outputs))
