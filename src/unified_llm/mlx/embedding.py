"""An embedding request to a model in this process: what an engine is handed, and how its output becomes vectors."""

from __future__ import annotations

from typing import Protocol

from unified_llm.exchange import Event
from unified_llm.mlx.request import Asked, Encoded, EngineError, Output, Texts
from unified_llm.outcome import Done, Failure
from unified_llm.target import Target
from unified_llm.types import EmbeddingRequest, EmbeddingResponse, Usage


class Reading(Protocol):
    """A request on its way through an engine, for synchronous and asynchronous callers alike."""

    @property
    def refusal(self) -> Failure | None:
        """Why the model cannot be asked this at all; found before it is loaded."""
        ...

    def asked(self) -> Asked:
        """What the engine is handed."""
        ...

    def event(self, output: Output) -> Event | None:
        """What an output of the engine means to the caller; None for nothing yet."""
        ...


class Embedding:
    """Texts to turn into vectors."""

    refusal: Failure | None = None  # a target without embeddings is never asked for them

    def __init__(self, target: Target, request: EmbeddingRequest) -> None:
        """Nothing is loaded yet."""
        self._target = target
        self._request = request

    def asked(self) -> Asked:
        """The texts."""
        return Texts(self._request.texts, self._request.purpose, self._request.dimensions)

    def event(self, output: Output) -> Event | None:
        """The vectors, all at once."""
        if not isinstance(output, Encoded):
            return failure_of(output)
        return Done(
            EmbeddingResponse(
                vectors=output.vectors,
                model=self._target.model,
                provider=self._target.provider,
                usage=Usage(prompt_tokens=output.tokens, total_tokens=output.tokens),
            )
        )


def failure_of(output: Output) -> Failure:
    """What an engine could not do; an output of the wrong kind says that the folder's model was exchanged."""
    if isinstance(output, EngineError):
        return Failure(output.kind, detail=str(output))
    return Failure("malformed")
