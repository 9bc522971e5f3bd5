"""What a chat model object of LangChain's does when it is asked, told as the events of an exchange."""

# LangChain's own points of extension begin with an underscore, and this file is on their other side.
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from langchain_core.outputs import ChatResult

from unified_llm.exchange import Event
from unified_llm.langchain.foreign_answers import ChunkReader, read_result
from unified_llm.types import LLMRequest

if TYPE_CHECKING:
    from unified_llm.langchain.foreign import ForeignChat, Phrased


def events(foreign: ForeignChat, request: LLMRequest) -> Generator[Event, None, None]:
    """One answer, for a thread that may wait."""
    phrased = foreign.phrase(request)
    if limiter := foreign.chat.rate_limiter:
        limiter.acquire(blocking=True)
    if request.stream and foreign.streams:
        reader = ChunkReader(foreign, phrased)
        stream = foreign.chat._stream(phrased.messages, phrased.stop, **phrased.options)
        for chunk in stream:
            if ours := reader.feed(chunk):
                yield ours
        yield reader.finish()
    else:
        result = foreign.chat._generate(phrased.messages, phrased.stop, **phrased.options)
        yield from _whole(foreign, phrased, result, streaming=request.stream)


async def aevents(foreign: ForeignChat, request: LLMRequest) -> AsyncGenerator[Event, None]:
    """One answer, on the event loop."""
    phrased = foreign.phrase(request)
    if limiter := foreign.chat.rate_limiter:
        await limiter.aacquire(blocking=True)
    if request.stream and foreign.streams:
        reader = ChunkReader(foreign, phrased)
        stream = foreign.chat._astream(phrased.messages, phrased.stop, **phrased.options)
        async with aclosing(stream) as chunks:  # type: ignore[type-var] # an async generator, said more widely
            async for chunk in chunks:
                if ours := reader.feed(chunk):
                    yield ours
        yield reader.finish()
    else:
        result = await foreign.chat._agenerate(phrased.messages, phrased.stop, **phrased.options)
        for event in _whole(foreign, phrased, result, streaming=request.stream):
            yield event


def _whole(foreign: ForeignChat, phrased: Phrased, result: ChatResult, *, streaming: bool) -> Iterator[Event]:
    """The events of a whole answer: one, or a stream of one chunk where chunks were asked for."""
    if not streaming:
        yield read_result(foreign, phrased, result)
        return
    reader = ChunkReader(foreign, phrased)
    if chunk := reader.feed_whole(result):
        yield chunk
    yield reader.finish()
