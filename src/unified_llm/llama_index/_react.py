"""Tool selection for models without function calling: one step of LlamaIndex's ReAct agent, without the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from llama_index.core.agent.react.formatter import ReActChatFormatter
from llama_index.core.agent.react.output_parser import ReActOutputParser
from llama_index.core.agent.react.types import ActionReasoningStep, ResponseReasoningStep
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms.llm import ToolSelection

from unified_llm.exceptions import GenerationError

if TYPE_CHECKING:
    from llama_index.core.tools.types import BaseTool

# Options that the prompt states or LlamaIndex uses; the others are passed on to ``chat``.
_REACT_OPTIONS: Final = frozenset({
    "react_chat_formatter", "output_parser", "tool_retriever", "memory", "tool_choice", "tool_required", "strict",
})  # fmt: skip


class ReActStep:
    """State of one ReAct step: the next request, until the model has chosen a tool or answered.

    ``messages`` is the next request. A malformed answer is sent back once, with the error.

    Args:
        tools: The tools to choose from.
        history: The conversation.
        options: As for ``predict_and_call``.
    """

    def __init__(self, tools: Sequence[BaseTool], history: Sequence[ChatMessage], options: Mapping[str, Any]) -> None:
        self._names = [tool.metadata.get_name() for tool in tools]
        formatter = options.get("react_chat_formatter") or ReActChatFormatter.from_defaults()
        self._parser = options.get("output_parser") or ReActOutputParser()
        self.messages: list[ChatMessage] = formatter.format(list(tools), list(history))
        self.options = {name: value for name, value in options.items() if name not in _REACT_OPTIONS}
        self._step: Any = None
        self._retried = False

    def on_response(self, response: ChatResponse) -> None:
        """Read an answer; ``messages`` is then the next request, or empty.

        Raises:
            GenerationError: The answer is malformed for the second time.
        """
        error = self._parse(response.message.content or "")
        if error is None:
            self.messages = []
        elif self._retried:
            raise GenerationError(f"The model chose no tool in the required format: {error}")
        else:
            self._retried = True
            again = ChatMessage(role=MessageRole.USER, content=f"{error} Answer again, in the form that was asked for.")
            self.messages = [*self.messages, response.message, again]

    def _parse(self, text: str) -> str | None:
        """Parse an answer; return what is wrong with it, or None."""
        try:
            self._step = self._parser.parse(text)
        except ValueError:
            return "That is neither an action with its input nor an answer."
        if isinstance(self._step, ActionReasoningStep) and self._step.action not in self._names:
            return f"There is no such tool; there are: {', '.join(self._names)}."
        return None

    def selected_tool(self, *, error_on_no_tool_call: bool) -> tuple[list[ToolSelection], str]:
        """Return the chosen tool, or the text of an answer.

        Raises:
            ValueError: The model chose no tool, and ``error_on_no_tool_call`` is set.
        """
        step = self._step
        if isinstance(step, ActionReasoningStep):
            return [ToolSelection(tool_id="", tool_name=step.action, tool_kwargs=step.action_input)], ""
        if error_on_no_tool_call:
            raise ValueError("Expected at least one tool call, but got 0 tool calls.")
        return [], step.response if isinstance(step, ResponseReasoningStep) else ""
