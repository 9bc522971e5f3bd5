"""Requests to an engine: what is submitted, and how its outputs become events."""

from __future__ import annotations

from typing import Protocol

from unified_llm._backends.mlx.engine_types import Encoded, EngineError, Output, Payload, Texts
from unified_llm._backends.mlx.request_options import leave_out
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest
from unified_llm.types.responses import EmbeddingResponse


class EngineCall(Protocol):
    """One request to an engine: what is submitted, and how its outputs become events."""

    @property
    def refusal(self) -> Failure | None:
        """Return why the model cannot serve the request at all; checked before it is loaded."""
        ...

    def encode(self) -> Payload:
        """Return what is submitted to the engine."""
        ...

    def decode(self, output: Output) -> Event | None:
        """Convert an output of the engine to an event; None if there is none yet."""
        ...


class EmbeddingCall:
    """An embedding request."""

    refusal: Failure | None = None  # a target without embeddings gets no embedding requests

    def __init__(self, target: Target, request: EmbeddingRequest) -> None:
        self._target = target
        self._request = request

    def encode(self) -> Payload:
        """Return the texts. Embedding models have no further options.

        Raises:
            EngineError: No API has an option of this name.
        """
        for name in {**self._target.extra_body, **self._request.extra_body}:
            leave_out(name, self._target)
        return Texts(self._request.texts, self._request.purpose, self._request.dimensions)

    def decode(self, output: Output) -> Event | None:
        """Return the vectors."""
        if not isinstance(output, Encoded):
            return to_failure(output)
        return Done(
            EmbeddingResponse(
                vectors=output.vectors,
                model=self._target.model,
                provider=self._target.provider,
                usage=Usage(prompt_tokens=output.tokens, total_tokens=output.tokens),
            )
        )


def to_failure(output: Output) -> Failure:
    """Convert an engine's error; any other output here means that the model in the folder was replaced."""
    if isinstance(output, EngineError):
        # A full queue is no limit of a key: a place may be free the next moment, and asking for it costs nothing.
        return Failure(
            output.kind,
            detail=str(output),
            reason=output.reason,
            context_window=output.context_window,
            about_key=False,
        )
    return Failure("malformed")
