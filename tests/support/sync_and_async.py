"""Sync and async exchanges behind one face, so that every test of one is a test of the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

from unified_llm._backends.http import Transport
from unified_llm._core.codec import AnyRequest, Codec
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm.types import LLMChunk

Mode = Literal["sync", "async"]


class Caller(Protocol):
    """One colour."""

    def exchange(self, transport: Transport, codec: Codec, ask: AnyRequest, target: Target) -> Exchange: ...


class SyncCaller:
    def exchange(self, transport: Transport, codec: Codec, ask: AnyRequest, target: Target) -> Exchange:
        return transport.exchange(codec, ask, target)


class _Awaited:
    def __init__(self, runner: asyncio.Runner, exchange: AsyncExchange) -> None:
        self._runner, self._exchange = runner, exchange

    def open(self, until: float) -> Failure | None:
        return self._runner.run(self._exchange.open(until))

    def read(self, until: float) -> Event:
        return self._runner.run(self._exchange.read(until))

    def close(self) -> None:
        self._runner.run(self._exchange.close())


class AsyncCaller:
    """All exchanges belong to one event loop, which stands still between the calls."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def exchange(self, transport: Transport, codec: Codec, ask: AnyRequest, target: Target) -> Exchange:
        async def make() -> AsyncExchange:
            return transport.aexchange(codec, ask, target)

        return _Awaited(self._runner, self._runner.run(make()))


@contextlib.contextmanager
def caller(mode: Mode) -> Iterator[Caller]:
    """A caller of this colour, its loop closed in the end."""
    if mode == "sync":
        yield SyncCaller()
        return
    with asyncio.Runner() as runner:
        yield AsyncCaller(runner)


def run(exchange: Exchange, until: float | Callable[[], float]) -> list[Event]:
    """Open, read to the end, close."""

    def instant() -> float:
        return until() if callable(until) else until

    try:
        events: list[Event] = []
        refused = exchange.open(instant())
        if refused is not None:
            return [refused]
        while not events or isinstance(events[-1], LLMChunk):
            events.append(exchange.read(instant()))
        return events
    finally:
        exchange.close()


def words(events: list[Event]) -> list[Any]:
    """Chunks as text, a whole answer as its text, an end of a stream as ``.``, a failure as its kind."""
    said: list[Any] = []
    for event in events:
        match event:
            case LLMChunk():
                said.append(event.content)
            case Done(value=LLMChunk()):
                said.append(".")
            case Done():
                said.append(("whole", getattr(event.value, "content", event.value)))
            case Failure():
                said.append(event.kind)
    return said
