"""All the ways to ask, and what observers hear of it."""

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
    """What an asynchronous stream brings."""
    return [each async for each in await stream]


# Each gives the list of responses that came; one, where it is not a stream.
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
    """What was said, in a chat or a completion."""
    return str(response.message.content if hasattr(response, "message") else response.text)


def model(**fields: Any) -> UnifiedLLM:
    return UnifiedLLM(**{"model": PRIMARY, "fallbacks": [SECOND], **fields})


class Heard(BaseEventHandler):
    """Every event of LlamaIndex's instrumentation."""

    events: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Heard"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


@contextmanager
def listening() -> Iterator[Heard]:
    """Hear every event until the block ends."""
    dispatcher: Any = get_dispatcher()
    heard = Heard()
    dispatcher.add_event_handler(heard)
    try:
        yield heard
    finally:
        dispatcher.event_handlers.remove(heard)
