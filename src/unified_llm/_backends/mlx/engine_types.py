"""What goes into an engine and what comes out of it, as values that any thread may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from unified_llm._core.outcome import FailureKind


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked.

    Attributes:
        messages: The conversation as the chat template takes it: mappings with ``role`` and ``content``.
        max_tokens: The most tokens to write, at least 1.
        temperature: 0 takes the likeliest token each time.
        top_p: The share of probability from which a token is drawn, where the temperature is above 0.
        seed: Makes the draw repeatable, whatever else runs in the batch.
        stop: Texts at which to end, not part of the answer.
    """

    messages: tuple[Mapping[str, Any], ...] = field(repr=False)
    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Texts:
    """What an encoder is asked.

    Attributes:
        texts: Texts to turn into vectors, at least one.
        purpose: What they are for; some models want a question marked as one.
        dimensions: The length that the vectors should have, where the caller cares.
    """

    texts: tuple[str, ...] = field(repr=False)
    purpose: Literal["query", "document"] | None = None
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class TextChunk:
    """Text that the model has just written; never empty."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer.

    Attributes:
        finish_reason: ``stop`` at the model's own end or at a stop string, ``length`` at the limit of tokens.
        prompt_tokens: How many tokens were read.
        completion_tokens: How many tokens were written, without the token that ends a turn.
    """

    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """The vectors of all texts of a request, in the order of the texts.

    Attributes:
        vectors: One for each text.
        tokens: How many tokens were read, those that mark a text's ends included.
    """

    vectors: list[list[float]] = field(repr=False)
    tokens: int


class EngineError(Exception):
    """What an engine tells a caller whose request it cannot serve: one sentence that says what to do.

    Attributes:
        kind: What happened, in the words that the policy understands.
    """

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind


Payload: TypeAlias = Prompt | Texts
"""What can be handed in: a prompt to a chat model, texts to an encoder."""

Output: TypeAlias = TextChunk | Finished | Encoded | EngineError
"""What a request's callback receives.

For a prompt, pieces and then one ``Finished``; for texts, one ``Encoded``; or an ``EngineError``, and nothing more.
"""


class EngineRequest:
    """A request that was handed in."""

    __slots__ = ("_wake", "cancelled", "prompt", "put")

    def __init__(self, prompt: Payload, put: Callable[[Output], None], wake: Callable[[EngineRequest], None]) -> None:
        self.prompt = prompt
        self.put = put
        self.cancelled = False
        self._wake = wake

    def deliver(self, output: Output) -> bool:
        """Call back with an output, from the engine thread; False when nobody wants it any more."""
        if self.cancelled:
            return False
        try:
            self.put(output)
        except Exception:  # noqa: BLE001 - the caller's event loop is closed, say; the other requests must go on
            return False
        return True

    def cancel(self) -> None:
        """Take the request out of the batch; harmless at any time. A piece that is on its way may still arrive."""
        self.cancelled = True
        self._wake(self)
