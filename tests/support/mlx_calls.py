from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from queue import SimpleQueue
from typing import Any, TypeAlias

from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineError, Finished, Output, Prompt, Sampling, TextChunk

TIMEOUT = 60
"""Seconds to wait for an output before a test fails; answers take milliseconds."""


SAMPLING = {field.name for field in fields(Sampling)}


@dataclass(frozen=True)
class Answer:
    chunks: tuple[str, ...]
    end: Finished

    @property
    def text(self) -> str:
        return "".join(self.chunks)


def prompt(question: str, **options: Any) -> Prompt:
    """Make a prompt; ``options`` are fields of it or of ``Sampling``."""
    sampling = Sampling(**{name: options.pop(name) for name in SAMPLING & options.keys()})
    return Prompt(({"role": "user", "content": question},), sampling=sampling, **options)


def submit(engine: Engine, prompt: Prompt) -> SimpleQueue[Output]:
    """Submit a prompt and return the queue of its outputs."""
    outputs: SimpleQueue[Output] = SimpleQueue()
    engine.submit(prompt, outputs.put)
    return outputs


def collect(outputs: SimpleQueue[Output]) -> Answer:
    """Wait for a whole answer; raise an engine's error."""
    chunks = []
    while isinstance(output := outputs.get(timeout=TIMEOUT), TextChunk):
        chunks.append(output.text)
    if isinstance(output, EngineError):
        raise output
    assert isinstance(output, Finished)
    return Answer(tuple(chunks), output)


Submit: TypeAlias = Callable[..., SimpleQueue[Output]]
AskModel: TypeAlias = Callable[..., Answer]
