"""Helpers that call an LLM by the name of a method: sync or async, whole or streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, MessageRole

WHOLE = ("chat", "achat", "complete", "acomplete")
STREAMS = ("stream_chat", "astream_chat", "stream_complete", "astream_complete")
MODES = (*WHOLE, *STREAMS)
TOOL_MODES = ("chat_with_tools", "achat_with_tools", "stream_chat_with_tools", "astream_chat_with_tools")
CHATS = ("chat", "achat", "stream_chat", "astream_chat")

each_mode = pytest.mark.parametrize("mode", MODES)
each_whole = pytest.mark.parametrize("mode", WHOLE)
each_stream = pytest.mark.parametrize("mode", STREAMS)
each_chat = pytest.mark.parametrize("mode", CHATS)
each_completion = pytest.mark.parametrize("mode", [mode for mode in MODES if "complete" in mode])
each_tool_mode = pytest.mark.parametrize("mode", TOOL_MODES)
each_tool_stream = pytest.mark.parametrize("mode", TOOL_MODES[2:])


def user(text: str) -> list[ChatMessage]:
    """Return a conversation of one user message."""
    return [ChatMessage(role=MessageRole.USER, content=text)]


def ask(llm: Any, mode: str, prompt: Any = "Hello.", **options: Any) -> list[Any]:
    """Call one of the eight endpoints; return all its responses (one, if it does not stream)."""
    return collect(llm, mode, user(prompt) if isinstance(prompt, str) and "chat" in mode else prompt, **options)


def collect(llm: Any, method: str, *args: Any, **options: Any) -> list[Any]:
    """Call any method, an async one (whose name begins with an ``a``) in a new event loop."""
    if method.startswith("a"):
        return asyncio.run(acollect(llm, method, *args, **options))
    output = getattr(llm, method)(*args, **options)
    return list(output) if isinstance(output, Iterator) else [output]


async def acollect(llm: Any, method: str, *args: Any, **options: Any) -> list[Any]:
    """Call an async method in the running loop."""
    output = await getattr(llm, method)(*args, **options)
    return [response async for response in output] if isinstance(output, AsyncIterator) else [output]


def text(response: ChatResponse | CompletionResponse) -> str:
    """Return the text of a response."""
    return response.text if isinstance(response, CompletionResponse) else response.message.content or ""
