"""Small LangChain chat models with different capabilities, as fallbacks beside our own targets."""

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

UNKNOWN_OPTIONS = {"max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty", "parallel_tool_calls"}


class Plain(BaseChatModel):
    """A model without tools, streaming or async implementation."""

    model: str = "plain-1"
    answer: Any = "Hello from outside"
    problem: Any = None
    llm_output: dict[str, Any] | None = None
    wait: Any = None
    calls: list[dict[str, Any]] = Field(default_factory=list)
    temperature: float | None = Field(default=None, le=2)
    num_predict: int | None = None

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "outside", "ls_model_name": self.model, "ls_model_type": "chat"}

    def _begin(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> None:
        if unknown := UNKNOWN_OPTIONS & set(options):  # what LangChain's own packages do: they pass options to a client
            raise TypeError(f"Client.chat() got an unexpected keyword argument {min(unknown)!r}")
        settings = {"temperature": self.temperature, "num_predict": self.num_predict}
        given = {name: value for name, value in settings.items() if value is not None}
        thread = threading.current_thread()
        self.calls.append({"messages": messages, "stop": stop, "thread": thread, **given, **options})
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
    """A model with tools."""

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        options = {"tools": [convert_to_openai_tool(tool) for tool in tools], **kwargs}
        return self.bind(**options, **({"tool_choice": tool_choice} if tool_choice else {}))


class Sequential(WithTools):
    """A model whose tools may be called one at a time, if that is asked for."""

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: str | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return super().bind_tools(tools, tool_choice=tool_choice, sequential=parallel_tool_calls is False, **kwargs)


class WithForms(WithTools):
    """A model with tools and a structured output of its own."""

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Any:
        if kwargs.get("method") == "refuse":
            raise NotImplementedError
        return self.bind(format=schema, ls_structured_output_format={"schema": schema}) | (lambda message: message)


class Streaming(WithTools):
    """A model with tools that streams, without async implementation."""

    chunks: list[Any] = Field(default_factory=lambda: ["Hello ", "from ", "outside"])
    released: list[int] = Field(default_factory=list)

    def _make_chunks(self) -> list[ChatGenerationChunk]:
        messages = [
            chunk if isinstance(chunk, AIMessageChunk) else AIMessageChunk(content=chunk) for chunk in self.chunks
        ]
        return [ChatGenerationChunk(message=message) for message in messages]

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self._begin(messages, stop, kwargs)
        try:
            for position, piece in enumerate(self._make_chunks()):
                if position and self.wait:
                    self.wait.wait()
                yield piece
        finally:
            self.released.append(1)


class Native(Streaming):
    """A model with tools, streaming and an async implementation."""

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
            for piece in self._make_chunks():
                yield piece
        finally:
            self.released.append(1)


class Limiter:
    """Rate limiter that counts the calls."""

    def __init__(self) -> None:
        self.acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return True


Make = Callable[..., Plain]
