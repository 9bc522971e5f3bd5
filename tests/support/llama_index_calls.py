"""All endpoints of a LlamaIndex model, and a recorder of its events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index_instrumentation.event_handlers import BaseEventHandler
from pydantic import Field

from unified_llm.llama_index import UnifiedLLM

PRIMARY, SECOND = "openai/gpt-5-mini", "ollama/llama3.2"
HELLO = [ChatMessage(role="user", content="Hello?")]


async def collected(stream: Any) -> list[Any]:
    """Collect an async stream."""
    return [chunk async for chunk in await stream]


# Each returns the list of its responses, which is one for a whole answer.
WAYS: dict[str, Callable[..., list[Any]]] = {
    "chat": lambda llm, **kw: [llm.chat(HELLO, **kw)],
    "achat": lambda llm, **kw: [asyncio.run(llm.achat(HELLO, **kw))],
    "stream_chat": lambda llm, **kw: list(llm.stream_chat(HELLO, **kw)),
    "astream_chat": lambda llm, **kw: asyncio.run(collected(llm.astream_chat(HELLO, **kw))),
    "complete": lambda llm, **kw: [llm.complete("Hello?", **kw)],
    "acomplete": lambda llm, **kw: [asyncio.run(llm.acomplete("Hello?", **kw))],
    "stream_complete": lambda llm, **kw: list(llm.stream_complete(prompt="Hello?", **kw)),
    "astream_complete": lambda llm, **kw: asyncio.run(collected(llm.astream_complete(prompt="Hello?", **kw))),
}


def text_of(response: Any) -> str:
    """Return the text of a chat or a completion."""
    return str(response.message.content if hasattr(response, "message") else response.text)


def model(**fields: Any) -> UnifiedLLM:
    return UnifiedLLM(**{"model": PRIMARY, "fallbacks": [SECOND], **fields})


class EventRecorder(BaseEventHandler):
    """Records every event of LlamaIndex's instrumentation."""

    events: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "EventRecorder"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


@contextmanager
def record_events() -> Iterator[EventRecorder]:
    """Record every event inside the block."""
    dispatcher: Any = get_dispatcher()
    events_seen = EventRecorder()
    dispatcher.add_event_handler(events_seen)
    try:
        yield events_seen
    finally:
        dispatcher.event_handlers.remove(events_seen)
