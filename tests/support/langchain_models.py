"""Small chat models of LangChain's, of every build: to stand in a chain beside our own targets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable  # noqa: TC002 - LangChain reads annotations at run time
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field


class Plain(BaseChatModel):
    """It can answer, and that is all: no streaming, no async of its own."""

    model: str = "plain-1"
    answer: Any = "Hello from outside"
    problem: Any = None
    llm_output: dict[str, Any] | None = None
    wait: Any = None
    calls: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "outside", "ls_model_name": self.model, "ls_model_type": "chat"}

    def _begin(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> None:
        self.calls.append({"messages": messages, "stop": stop, "thread": threading.current_thread(), **options})
        if self.wait:
            self.wait.wait()
        if self.problem:
            raise self.problem

    def _message(self) -> AIMessage:
        return self.answer if isinstance(self.answer, AIMessage) else AIMessage(content=self.answer)

    def _result(self) -> ChatResult:
        generation = ChatGeneration(message=self._message())
        return ChatResult(generations=[generation], llm_output=self.llm_output)

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        assert run_manager is None, "the run is that of the chain"
        self._begin(messages, stop, kwargs)
        return self._result()


class WithTools(Plain):
    """It takes tools."""

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        options = {"tools": [convert_to_openai_tool(tool) for tool in tools], **kwargs}
        return self.bind(**options, **({"tool_choice": tool_choice} if tool_choice else {}))


class WithForms(WithTools):
    """It can be held to a schema, in words of its own."""

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Any:
        if kwargs.get("method") == "refuse":
            raise NotImplementedError
        return self.bind(format=schema, ls_structured_output_format={"schema": schema}) | (lambda message: message)


class Streaming(WithTools):
    """It streams, but knows nothing of event loops."""

    chunks: list[Any] = Field(default_factory=lambda: ["Hello ", "from ", "outside"])
    released: list[int] = Field(default_factory=list)

    def _pieces(self) -> list[ChatGenerationChunk]:
        whole = [each if isinstance(each, AIMessageChunk) else AIMessageChunk(content=each) for each in self.chunks]
        return [ChatGenerationChunk(message=each) for each in whole]

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self._begin(messages, stop, kwargs)
        try:
            for position, piece in enumerate(self._pieces()):
                if position and self.wait:
                    self.wait.wait()
                yield piece
        finally:
            self.released.append(1)


class Native(Streaming):
    """It is at home on an event loop."""

    pause: float = 0.0

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        await asyncio.sleep(self.pause)
        self._begin(messages, stop, kwargs)
        return self._result()

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        await asyncio.sleep(self.pause)
        self._begin(messages, stop, kwargs)
        try:
            for piece in self._pieces():
                yield piece
        finally:
            self.released.append(1)


class Limiter:
    """A rate limiter that counts."""

    def __init__(self) -> None:
        self.acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return True


Make = Callable[..., Plain]
