from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeAlias

from unified_llm._backends.mlx.engine_types import EngineError, Finished, Output, TextChunk, Prompt

PATIENCE = 60
"""Seconds to wait for an output before a test fails; answers take milliseconds."""


@dataclass(frozen=True)
class Answer:
    pieces: tuple[str, ...]
    end: Finished

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def prompt(question: str, **options: Any) -> Prompt:
    return Prompt(({"role": "user", "content": question},), **options)


def collect(outputs: SimpleQueue[Output]) -> Answer:
    """Wait for a whole answer; an error is raised."""
    pieces = []
    while isinstance(output := outputs.get(timeout=PATIENCE), TextChunk):
        pieces.append(output.text)
    if isinstance(output, EngineError):
        raise output
    assert isinstance(output, Finished)
    return Answer(tuple(pieces), output)


Submit: TypeAlias = Callable[..., SimpleQueue[Output]]
AskModel: TypeAlias = Callable[..., Answer]
