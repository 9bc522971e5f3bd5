"""Small LlamaIndex LLMs of several kinds, for use as wrapped LLMs in a chain."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import Field
from typing_extensions import override


class Plain(CustomLLM):
    """A completion LLM whose async methods block the loop."""

    answer: str = "Hello from outside"
    problem: Any = None
    wait: Any = None
    calls: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="plain-1", context_window=2048)

    def _begin(self, prompt: str, options: dict[str, Any]) -> None:
        self.calls.append({"prompt": prompt, "thread": threading.current_thread().name, **options})
        if self.wait:
            self.wait.wait()
        if self.problem:
            raise self.problem

    @override
    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._begin(prompt, kwargs)
        return CompletionResponse(text=self.answer)

    @override
    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        self._begin(prompt, kwargs)

        def gen() -> CompletionResponseGen:
            for end in range(1, len(self.answer.split()) + 1):
                yield CompletionResponse(text=" ".join(self.answer.split()[:end]))  # without a delta

        return gen()


class Native(FunctionCallingLLM):
    """A chat LLM with function calling, reasoning and native async methods."""

    model: str = "native-1"
    message: Any = None
    raw: Any = None
    problem: Any = None
    pause: float = 0.0
    knows_its_metadata: bool = True
    thinks: bool = True
    calls: list[dict[str, Any]] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "native_llm"

    @property
    def metadata(self) -> LLMMetadata:
        if not self.knows_its_metadata:
            raise ValueError("Unknown model")
        return LLMMetadata(is_chat_model=True, is_function_calling_model=True, context_window=9000)

    def _whole(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatResponse:
        self.calls.append({"messages": messages, **options})
        if self.problem:
            raise self.problem
        message = self.message or ChatMessage(role="assistant", content="Hello from outside")
        return ChatResponse(message=message, raw=self.raw)

    def _pieces(self, whole: ChatResponse) -> list[ChatResponse]:
        words = (whole.message.content or "").split()
        pieces = [ChatResponse(message=ChatMessage(content=" ".join(words[: end + 1]), role="assistant"),
                               delta=(" " if end else "") + word) for end, word in enumerate(words)]  # fmt: skip
        thoughts = [
            ChatResponse(message=ChatMessage(role="assistant"), delta="", additional_kwargs={"thinking_delta": "hm"})
        ]
        return [
            *(thoughts if self.thinks else ()),
            *pieces,
            ChatResponse(message=whole.message, delta="", raw=whole.raw),
        ]

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._whole(messages, kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        await asyncio.sleep(self.pause)
        return self._whole(messages, kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        yield from self._pieces(self._whole(messages, kwargs))

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        async def gen() -> ChatResponseAsyncGen:
            await asyncio.sleep(self.pause)
            for piece in self._pieces(self._whole(messages, kwargs)):
                yield piece

        return gen()

    @override
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    @override
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    @override
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        raise NotImplementedError

    @override
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        raise NotImplementedError

    @override
    def _prepare_chat_with_tools(
        self,
        tools: Any,
        user_msg: Any = None,
        chat_history: Any = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        offered = [tool.metadata.to_openai_tool() for tool in tools]
        chat_history.append(ChatMessage(role="user", content="mutated"))  # as some do
        asked = {"required": tool_required, "parallel": allow_parallel_tool_calls, **kwargs}
        return {"messages": chat_history[:-1], "tools": offered, **asked}


class Choosy(Native):
    """An LLM that supports ``tool_choice``."""

    @override
    def _prepare_chat_with_tools(
        self, tools: Any, *args: Any, tool_choice: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        return {**super()._prepare_chat_with_tools(tools, *args, **kwargs), "choice": tool_choice}


CALLING = ChatMessage(
    role="assistant",
    blocks=[
        ThinkingBlock(content="hm", additional_information={"signature": "theirs"}),
        TextBlock(text="Let me see."),
        ToolCallBlock(tool_call_id="t1", tool_name="add", tool_kwargs={"a": 1, "b": 2}),
    ],
)
