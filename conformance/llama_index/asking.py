"""How the tests call an LLM: by the name of a method, whatever kind of answer it has."""

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
    """A conversation of one message."""
    return [ChatMessage(role=MessageRole.USER, content=text)]


def ask(llm: Any, mode: str, said: Any = "Hello.", **options: Any) -> list[Any]:
    """Call one of the eight endpoints; all that came, which is one response where the answer is whole."""
    return collect(llm, mode, user(said) if isinstance(said, str) and "chat" in mode else said, **options)


def collect(llm: Any, method: str, *args: Any, **options: Any) -> list[Any]:
    """Call any method; an asynchronous one (its name begins with an a) in an event loop of its own."""
    if method.startswith("a"):
        return asyncio.run(acollect(llm, method, *args, **options))
    given = getattr(llm, method)(*args, **options)
    return list(given) if isinstance(given, Iterator) else [given]


async def acollect(llm: Any, method: str, *args: Any, **options: Any) -> list[Any]:
    """As ``collect``, in the running loop."""
    given = await getattr(llm, method)(*args, **options)
    return [each async for each in given] if isinstance(given, AsyncIterator) else [given]


def text(response: ChatResponse | CompletionResponse) -> str:
    """What a response says."""
    return response.text if isinstance(response, CompletionResponse) else response.message.content or ""
