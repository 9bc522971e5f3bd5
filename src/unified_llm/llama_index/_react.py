"""The choice of a tool by a model that cannot call functions: one step of LlamaIndex's ReAct agent, without it."""

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

# What is said in the words of the prompt, or is LlamaIndex's own business.
_OURS: Final = frozenset({
    "react_chat_formatter", "output_parser", "tool_retriever", "memory", "tool_choice", "tool_required", "strict",
})  # fmt: skip


class ReActStep:
    """What to ask next, until a tool has been chosen or the model has answered; one mistake is told and mended.

    Args:
        tools: What may be chosen.
        history: The conversation.
        options: As for ``predict_and_call``.
    """

    def __init__(self, tools: Sequence[BaseTool], history: Sequence[ChatMessage], options: Mapping[str, Any]) -> None:
        """Phrase the question."""
        self._names = [tool.metadata.get_name() for tool in tools]
        formatter = options.get("react_chat_formatter") or ReActChatFormatter.from_defaults()
        self._parser = options.get("output_parser") or ReActOutputParser()
        self.messages: list[ChatMessage] = formatter.format(list(tools), list(history))
        self.options = {name: value for name, value in options.items() if name not in _OURS}
        self._step: Any = None
        self._told = False

    def hear(self, response: ChatResponse) -> None:
        """Read an answer; ``messages`` is then the next question, or empty.

        Raises:
            GenerationError: The answer has not the form that was asked for, for the second time.
        """
        problem = self._read(response.message.content or "")
        if problem is None:
            self.messages = []
        elif self._told:
            raise GenerationError(f"The model chose no tool in the form that it was asked for: {problem}")
        else:
            self._told = True
            again = ChatMessage(
                role=MessageRole.USER, content=f"{problem} Answer again, in the form that was asked for."
            )
            self.messages = [*self.messages, response.message, again]

    def _read(self, text: str) -> str | None:
        """Take in an answer; what is wrong with it, if anything is."""
        try:
            self._step = self._parser.parse(text)
        except ValueError:
            return "That is neither an action with its input nor an answer."
        if isinstance(self._step, ActionReasoningStep) and self._step.action not in self._names:
            return f"There is no such tool; there are: {', '.join(self._names)}."
        return None

    def chosen(self, *, error_on_no_tool_call: bool) -> tuple[list[ToolSelection], str]:
        """The tool, or the words of an answer.

        Raises:
            ValueError: There is no tool, and that is an error.
        """
        step = self._step
        if isinstance(step, ActionReasoningStep):
            return [ToolSelection(tool_id="", tool_name=step.action, tool_kwargs=step.action_input)], ""
        if error_on_no_tool_call:
            raise ValueError("Expected at least one tool call, but got 0 tool calls.")
        return [], step.response if isinstance(step, ResponseReasoningStep) else ""
