"""A world in which every target embeds: a text's vector is made of its letters, so that a mistaken order shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import Runtime, use
from unified_llm._core.target import Target
from unified_llm.types import EmbeddingRequest, EmbeddingResponse

KEY = "sk-CANARY-of-the-embeddings"
SMALL = "openai/text-embedding-3-small"


def vector(text: str, length: int = 3) -> list[float]:
    return [float(len(text)), float(sum(map(ord, text))), *[1.0] * (length - 2)]


@dataclass
class Vectors:
    """Who was asked for what, and how many at once.

    Attributes:
        behave: What becomes of a request, in place of vectors; None for vectors.
        lengths: The length of a target's vectors, by its address or its name.
    """

    behave: Callable[[EmbeddingRequest, Target], Failure | None] = lambda _ask, _target: None
    lengths: dict[str, int] = field(default_factory=dict)
    asked: list[EmbeddingRequest] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    clock: float = 100.0

    @property
    def texts(self) -> list[tuple[str, ...]]:
        return [ask.texts for ask in self.asked]

    @contextmanager
    def running(self) -> Iterator[Vectors]:
        runtime = Runtime(
            now=lambda: self.clock,
            sleep=self._sleep,
            asleep=self._asleep,
            random=lambda: 0.5,
            exchange=lambda ask, target: _Played(self, ask, target),
            aexchange=lambda ask, target: _AsyncPlayed(_Played(self, ask, target)),
        )
        with use(runtime):
            yield self

    def _sleep(self, until: float) -> None:
        self.clock = max(self.clock, until)

    async def _asleep(self, until: float) -> None:
        await asyncio.sleep(0)
        self._sleep(until)


class _Played:
    def __init__(self, world: Vectors, ask: Any, target: Target) -> None:
        self.world, self.ask, self.target = world, ask, target

    def open(self, until: float) -> Failure | None:
        self.world.asked.append(self.ask)
        self.world.names.append(self.target.name)
        self.world.under_way += 1
        self.world.most = max(self.world.most, self.world.under_way)
        return self.world.behave(self.ask, self.target)

    def read(self, until: float) -> Done:
        self.world.answered += self.ask.texts
        length = self.world.lengths.get(self.target.base_url, self.ask.dimensions or 3)
        return Done(EmbeddingResponse([vector(text, length) for text in self.ask.texts]))

    def close(self) -> None:
        self.world.under_way -= 1


class _AsyncPlayed:
    def __init__(self, played: _Played) -> None:
        self.played = played

    async def open(self, until: float) -> Failure | None:
        failure = self.played.open(until)
        for _ in range(3):
            await asyncio.sleep(0)
        return failure

    async def read(self, until: float) -> Done:
        for _ in range(3):
            await asyncio.sleep(0)
        return self.played.read(until)

    async def close(self) -> None:
        self.played.close()
