"""Simulated targets that embed: a vector depends on the text, so that a wrong order is detected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import Runtime, use
from unified_llm._core.target import Target
from unified_llm.types import EmbeddingRequest, EmbeddingResponse, Usage

KEY = "sk-CANARY-of-the-embeddings"
SMALL = "openai/text-embedding-3-small"


def vector(text: str, length: int = 3) -> list[float]:
    return [float(len(text)), float(sum(map(ord, text))), *[1.0] * (length - 2)]


@dataclass
class EmbeddingTargets:
    """Simulated embedding targets, with a record of the requests.

    Attributes:
        respond: Returns the failure of a request, or None for vectors.
        lengths: The length of a target's vectors, by its base URL or its name.
        latency: Seconds of fake time that a request takes.
        usage: Returns the usage that a response reports.
        answered: The texts whose vectors were returned.
        open: Number of requests in progress.
        most_open: The largest number of requests that were in progress at once.
    """

    respond: Callable[[EmbeddingRequest, Target], Failure | None] = lambda _request, _target: None
    lengths: dict[str, int] = field(default_factory=dict)
    latency: float = 0.0
    usage: Callable[[EmbeddingRequest], Usage | None] = lambda _request: None
    requests: list[EmbeddingRequest] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    clock: float = 100.0

    @property
    def texts(self) -> list[tuple[str, ...]]:
        return [request.texts for request in self.requests]

    @contextmanager
    def running(self) -> Iterator[EmbeddingTargets]:
        runtime = Runtime(
            now=lambda: self.clock,
            sleep=self._sleep,
            asleep=self._asleep,
            random=lambda: 0.5,
            exchange=lambda request, target: _Exchange(self, request, target),
            aexchange=lambda request, target: _AsyncExchange(_Exchange(self, request, target)),
        )
        with use(runtime):
            yield self

    def _sleep(self, until: float) -> None:
        self.clock = max(self.clock, until)

    async def _asleep(self, until: float) -> None:
        await asyncio.sleep(0)
        self._sleep(until)


class _Exchange:
    def __init__(self, targets: EmbeddingTargets, request: Any, target: Target) -> None:
        self.targets, self.request, self.target = targets, request, target

    def open(self, until: float) -> Failure | None:
        self.targets.requests.append(self.request)
        self.targets.names.append(f"{self.target.provider}/{self.target.model}")
        self.targets.open += 1
        self.targets.most_open = max(self.targets.most_open, self.targets.open)
        return self.targets.respond(self.request, self.target)

    def read(self, until: float) -> Done | Failure:
        if self.targets.clock + self.targets.latency > until:
            self.targets.clock = until
            return Failure("timeout")
        self.targets.clock += self.targets.latency
        self.targets.answered += self.request.texts
        length = self.targets.lengths.get(self.target.base_url, self.request.dimensions or 3)
        vectors = [vector(text, length) for text in self.request.texts]
        return Done(EmbeddingResponse(vectors, usage=self.targets.usage(self.request)))

    def close(self) -> None:
        self.targets.open -= 1


class _AsyncExchange:
    def __init__(self, exchange: _Exchange) -> None:
        self.exchange = exchange

    async def open(self, until: float) -> Failure | None:
        failure = self.exchange.open(until)
        for _ in range(3):
            await asyncio.sleep(0)
        return failure

    async def read(self, until: float) -> Done | Failure:
        for _ in range(3):
            await asyncio.sleep(0)
        return self.exchange.read(until)

    async def close(self) -> None:
        self.exchange.close()
