"""Sync and async exchanges behind one interface, so that every test covers both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

from unified_llm._backends.http import Transport
from unified_llm._core.codec import AnyRequest, Codec
from unified_llm._core.exchange import AnyEvent, AsyncExchange, Exchange
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm.types import LLMChunk

Mode = Literal["sync", "async"]


class Caller(Protocol):
    """Creates sync or async exchanges."""

    def exchange(self, transport: Transport, codec: Codec, request: AnyRequest, target: Target) -> Exchange: ...


class SyncCaller:
    def exchange(self, transport: Transport, codec: Codec, request: AnyRequest, target: Target) -> Exchange:
        return transport.exchange(codec, request, target)


class _RunInLoop:
    def __init__(self, runner: asyncio.Runner, exchange: AsyncExchange) -> None:
        self._runner, self._exchange = runner, exchange

    def open(self, until: float) -> Failure | None:
        return self._runner.run(self._exchange.open(until))

    def read(self, until: float) -> AnyEvent:
        return self._runner.run(self._exchange.read(until))

    def close(self) -> None:
        self._runner.run(self._exchange.close())


class AsyncCaller:
    """Runs all exchanges in one event loop, which is stopped between calls."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def exchange(self, transport: Transport, codec: Codec, request: AnyRequest, target: Target) -> Exchange:
        async def make() -> AsyncExchange:
            return transport.aexchange(codec, request, target)

        return _RunInLoop(self._runner, self._runner.run(make()))


@contextlib.contextmanager
def caller(mode: Mode) -> Iterator[Caller]:
    """Yield a caller of this mode; close its event loop at the end."""
    if mode == "sync":
        yield SyncCaller()
        return
    with asyncio.Runner() as runner:
        yield AsyncCaller(runner)


def run(exchange: Exchange, until: float | Callable[[], float]) -> list[AnyEvent]:
    """Open an exchange, read it to the end, close it; return the events."""

    def instant() -> float:
        return until() if callable(until) else until

    try:
        events: list[AnyEvent] = []
        failure = exchange.open(instant())
        if failure is not None:
            return [failure]
        while not events or isinstance(events[-1], LLMChunk):
            events.append(exchange.read(instant()))
        return events
    finally:
        exchange.close()


def summarize(events: list[AnyEvent]) -> list[Any]:
    """Return text for a chunk, ``("whole", text)`` for an answer, ``.`` for a stream's end, the kind of a failure."""
    results: list[Any] = []
    for event in events:
        match event:
            case LLMChunk():
                results.append(event.content)
            case Done(value=LLMChunk()):
                results.append(".")
            case Done():
                results.append(("whole", getattr(event.value, "content", event.value)))
            case Failure():
                results.append(event.kind)
    return results
