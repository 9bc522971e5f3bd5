"""Tools: how they are offered, how calls are read from an answer, and how one is predicted and called at once.

Models that cannot call functions are asked in words, in the form of LlamaIndex's ReAct agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from typing_extensions import override

from unified_llm._lib.bounded_json import JSONError, parse_object, parse_partial
from unified_llm.exceptions import ValidationError
from unified_llm.llama_index._call_kwargs import offer
from unified_llm.llama_index._messages import read_messages

if TYPE_CHECKING:
    from llama_index.core.chat_engine.types import AgentChatResponse
    from llama_index.core.llms.function_calling import FunctionCallingLLM
    from llama_index.core.tools.types import BaseTool, ToolOutput

    _Base = FunctionCallingLLM
else:
    _Base = object  # a Pydantic class more would cost every import some milliseconds


class ToolCalling(_Base):
    """The part of a model that has to do with tools."""

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
        """The arguments of ``chat``."""
        messages = list(chat_history or ())
        if user_msg is not None:
            messages.append(_said(user_msg))
        offered: dict[str, Any] = {}
        if tools:
            offered["tools"] = [offer(tool, strict=strict) for tool in tools]
            if choice := tool_choice or ("required" if tool_required else None):
                offered["tool_choice"] = choice
            if not allow_parallel_tool_calls:
                offered["parallel_tool_calls"] = False
        return {"messages": messages, **offered, **kwargs}

    @override
    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        """Keep to one call where one was asked for: not every model can be told."""
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
        """The calls in an answer, or in as much of it as a stream has brought.

        Raises:
            ValueError: There is none, and that is an error.
        """
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if calls:
            whole = isinstance(response.raw, Mapping) and response.raw.get("finish_reason") is not None
            selections = [_selection(block, whole=whole) for block in calls]
        elif response.message.additional_kwargs.get("tool_calls"):  # an answer of another model's
            read = read_messages([response.message])[0]
            selections = [
                ToolSelection(tool_id=call.id, tool_name=call.name, tool_kwargs=dict(call.arguments))
                for call in read.tool_calls
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
        """Let the model choose a tool, and call it. A model that calls no functions is asked in words.

        Args:
            tools: What it may choose from.
            user_msg: Put at the end of the history.
            chat_history: The conversation so far.
            verbose: Print the calls.
            allow_parallel_tool_calls: It may choose several.
            error_on_no_tool_call: Raise where it chooses none, rather than return its words.
            error_on_tool_error: Raise where a tool fails, rather than return its error as its output.
            **kwargs: ``tool_choice``, ``tool_required`` and whatever ``chat`` takes; ``react_chat_formatter`` and
                ``output_parser`` for models that are asked in words.

        Raises:
            ValueError: As asked for above.
            LLMError: No target answered.
        """
        if self.metadata.is_function_calling_model:
            response = self.chat_with_tools(tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, **kwargs)
            selections = self.get_tool_calls_from_response(response, error_on_no_tool_call)
            text = response.message.content or ""
        else:
            from unified_llm.llama_index._react import ReActStep

            step = ReActStep(tools, _history(user_msg, chat_history), kwargs)
            while step.messages:
                step.hear(self.chat(step.messages, **step.options))
            selections, text = step.chosen(error_on_no_tool_call=error_on_no_tool_call)
        return _told([_call(each, tools, verbose=verbose) for each in selections], text, strict=error_on_tool_error)

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
        """As ``predict_and_call``; several tools run at the same time."""
        if self.metadata.is_function_calling_model:
            response = await self.achat_with_tools(
                tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, **kwargs
            )
            selections = self.get_tool_calls_from_response(response, error_on_no_tool_call)
            text = response.message.content or ""
        else:
            from unified_llm.llama_index._react import ReActStep

            step = ReActStep(tools, _history(user_msg, chat_history), kwargs)
            while step.messages:
                step.hear(await self.achat(step.messages, **step.options))
            selections, text = step.chosen(error_on_no_tool_call=error_on_no_tool_call)
        outputs = await asyncio.gather(*(_acall(each, tools, verbose=verbose) for each in selections))
        return _told(outputs, text, strict=error_on_tool_error)


def _said(message: str | ChatMessage) -> ChatMessage:
    return ChatMessage(role=MessageRole.USER, content=message) if isinstance(message, str) else message


def _history(user_msg: str | ChatMessage | None, chat_history: Sequence[ChatMessage] | None) -> list[ChatMessage]:
    return [*(chat_history or ()), *((_said(user_msg),) if user_msg is not None else ())]


def _selection(block: ToolCallBlock, *, whole: bool) -> ToolSelection:
    """A call. Arguments that a finished answer left broken are none: half of a path is another path."""
    arguments: Any = block.tool_kwargs
    if isinstance(arguments, str) and whole:
        try:
            arguments = parse_object(arguments)
        except JSONError:
            arguments = {}
    elif isinstance(arguments, str):
        arguments = parse_partial(arguments)
    return ToolSelection(
        tool_id=block.tool_call_id or "",
        tool_name=block.tool_name,
        tool_kwargs=arguments if isinstance(arguments, dict) else {},
    )


def _call(selection: ToolSelection, tools: Sequence[BaseTool], *, verbose: bool) -> ToolOutput:
    from llama_index.core.tools.calling import call_tool_with_selection

    return _unknown(selection, tools) or call_tool_with_selection(selection, tools, verbose=verbose)


async def _acall(selection: ToolSelection, tools: Sequence[BaseTool], *, verbose: bool) -> ToolOutput:
    from llama_index.core.tools.calling import acall_tool_with_selection

    return _unknown(selection, tools) or await acall_tool_with_selection(selection, tools, verbose=verbose)


def _unknown(selection: ToolSelection, tools: Sequence[BaseTool]) -> ToolOutput | None:
    """What a tool that nobody offered returns: models make some up."""
    if any(tool.metadata.name == selection.tool_name for tool in tools):
        return None
    from llama_index.core.tools.types import ToolOutput

    problem = ValidationError(f"There is no tool {selection.tool_name!r}.")
    return ToolOutput(
        tool_name=selection.tool_name,
        content=str(problem),
        raw_input=selection.tool_kwargs,
        raw_output=str(problem),
        is_error=True,
        exception=problem,
    )


def _told(outputs: Sequence[ToolOutput], text: str, *, strict: bool) -> AgentChatResponse:
    """What came of it, as LlamaIndex tells it.

    Raises:
        ValueError: A tool failed, and that is an error.
    """
    from llama_index.core.chat_engine.types import AgentChatResponse

    told = "\n\n".join(output.content for output in outputs)
    if strict and any(output.is_error for output in outputs):
        raise ValueError(told)
    return AgentChatResponse(response=told if outputs else text, sources=list(outputs))
