"""Input and output of an engine, as values that any thread may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from unified_llm._core.outcome import FailureKind
from unified_llm.types.responses import TokenLogprob


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the tokens of a response are chosen.

    Attributes:
        temperature: 0 takes the likeliest token each time.
        top_p: The share of probability from which a token is drawn; 0 takes the likeliest token.
        top_k: The number of likeliest tokens from which one is drawn; 0 for all.
        min_p: The least probability of a token that is drawn, as a share of that of the likeliest.
        seed: Makes the draw repeatable, whatever else runs in the batch.
        repetition_penalty: Logits of tokens that prompt or response contain are divided by it, negative ones
            multiplied; 1 changes nothing.
        repetition_context_size: The number of last tokens that are looked at for that; 0 for all.
        presence_penalty: Subtracted from the logit of each token that the response contains.
        frequency_penalty: Subtracted from the logit of a token for each time that the response contains it.
        logit_bias: Added to the logits of tokens, by their ids.
        logprobs: Whether the response has the log probability of each token.
        top_logprobs: The number of likeliest tokens that are listed with theirs at each place, 0 to 20.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    repetition_penalty: float = 1.0
    repetition_context_size: int = 20
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float], repr=False)
    logprobs: bool = False
    top_logprobs: int = 0


@dataclass(frozen=True, slots=True)
class Constraint:
    """Constraint of a response, which holds token by token.

    Attributes:
        kind: The language of ``text``: a JSON schema, a regular expression that the whole response matches, or a
            grammar in the dialect of Lark that llguidance reads.
        text: The schema (as JSON), the expression, or the grammar.
        after: The constraint begins once this text has been written (the closing tag of reasoning); None: at once.
        tags: Literals of a grammar that are one token where the tokenizer has such a token, as of ``<tool_call>``.
        opening: The text that begins what is constrained: before it, the response is free. A part of ``text``. Empty:
            all of the response is constrained.
        may_repeat: Whether, with an opening, the response is free again after each part that was constrained; else it
            ends there.
        blocks: The opening tags of reasoning with which the response may begin, before what is constrained.
        simpler: A grammar to use in place of ``text`` where llguidance cannot express that; None for none.
    """

    kind: Literal["json_schema", "regex", "lark"]
    text: str = field(repr=False)
    after: str | None = None
    tags: tuple[str, ...] = ()
    opening: str = ""
    may_repeat: bool = True
    blocks: tuple[str, ...] = ()
    simpler: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EngineKey:
    """Key of an engine: the folders of its weights. Paths are resolved, so that equal weights have equal keys.

    Attributes:
        folder: The folder of the model, in the Hugging Face layout.
        adapter: The folder of a LoRA adapter that is applied to it.
        draft: The folder of the draft model that is loaded beside it.
    """

    folder: Path
    adapter: Path | None = None
    draft: Path | None = None


EngineState: TypeAlias = Literal["loading", "ready", "ended"]
"""The state of an engine: it loads its model, serves requests, or takes no more of them (see ``engine``)."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request to a chat model.

    Attributes:
        messages: The conversation as the chat template takes it: mappings with ``role`` and ``content``: a text, or a
            list of parts where there are images, ``{"type": "image"}`` and ``{"type": "text", "text": ...}``; those of
            the assistant with ``tool_calls`` where there were any. Values of JSON alone.
        text: A text to continue in place of a conversation, without a chat template.
        tools: The offered tools in OpenAI's format, for the chat template.
        template_options: Further variables of the chat template, such as ``enable_thinking``.
        max_tokens: The most tokens to write, at least 1; None for the rest of the context window.
        window: The most tokens to read and write, where that is less than the model can.
        sampling: How its tokens are chosen.
        constraint: What the response has to conform to; None for any text.
        stop: Texts at which to end, not part of the answer.
        images: The files of the images, in the order of their parts.
        draft_tokens: The number of tokens that the draft model proposes at once; 0 for none.
        kv_bits: The bits of the values of a quantized key-value cache; None for one that is not quantized.
        kv_group_size: The number of its values that share a scale.
    """

    messages: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    text: str | None = field(default=None, repr=False)
    tools: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    template_options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    max_tokens: int | None = None
    window: int | None = None
    sampling: Sampling = Sampling()
    constraint: Constraint | None = None
    stop: tuple[str, ...] = field(default=(), repr=False)
    images: tuple[bytes, ...] = field(default=(), repr=False)
    draft_tokens: int = 0
    kv_bits: int | None = None
    kv_group_size: int = 64


@dataclass(frozen=True, slots=True)
class Texts:
    """A request to an embedding model.

    Attributes:
        texts: Texts to turn into vectors, at least one.
        purpose: What they are for; some models want a question marked as one.
        dimensions: The length that the vectors should have; None for the model's own.
    """

    texts: tuple[str, ...] = field(repr=False)
    purpose: Literal["query", "document"] | None = None
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class OpenedBlock:
    """The prompt ends with the opening tag of a block of reasoning, so that the answer begins inside of the block."""

    tag: str


@dataclass(frozen=True, slots=True)
class TextChunk:
    """Text that the model has just written, and the log probabilities of its tokens where they were requested.

    Only the last one may have an empty text: then it has log probabilities.

    Attributes:
        text: The text.
        logprobs: As above.
        tokens: How many tokens were written since the last chunk, those of texts that are held back included.
    """

    text: str = field(repr=False)
    logprobs: tuple[TokenLogprob, ...] = field(default=(), repr=False)
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer.

    Attributes:
        finish_reason: ``stop`` at the model's own end or at a stop string, ``length`` at the limit of tokens.
        prompt_tokens: How many tokens were read.
        completion_tokens: How many tokens were written, without the token that ends a turn.
        cached_tokens: How many of those that were read came from the prefix cache.
    """

    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


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
    """A request that an engine cannot serve; the message is one sentence that says what to do.

    Attributes:
        kind: The kind of failure, as the policy knows it.
        context_window: The tokens of the window that a prompt did not fit into.
        reason: What happened in a few words, for logs, where the kind says too little or something else.
    """

    def __init__(
        self, kind: FailureKind, message: str, *, context_window: int | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.kind: FailureKind = kind
        self.context_window = context_window


class UnloadableError(EngineError):
    """A model whose files cannot be loaded: loading the same files again would fail in the same way."""

    def __init__(self, message: str) -> None:
        super().__init__("unsupported", message, reason="its model cannot be loaded")


@dataclass(frozen=True, slots=True)
class LoadImages:
    """A request to load the part of a chat model that reads images, before a prompt has some."""


Payload: TypeAlias = Prompt | Texts | LoadImages
"""Input of a request: a prompt to a chat model, texts to an embedding model, or what is to be loaded."""

Output: TypeAlias = OpenedBlock | TextChunk | Finished | Encoded | EngineError
"""Argument of a request's callback.

For a prompt, ``OpenedBlock`` at most once, chunks and then one ``Finished``; for texts, one ``Encoded``; for
``LoadImages``, a ``Finished`` without tokens; or an ``EngineError``, and nothing more.
"""

_LAST: Final = (Finished, Encoded, EngineError)  # the outputs after which a request gets no more


class EngineRequest:
    """A request that was submitted to an engine.

    Args:
        payload: The prompt, or the texts.
        on_output: Called with each output, from the engine thread.
        enqueue: Puts the request into the engine's queue, to wake its thread after a cancellation.
        on_end: Called once the request has its last output, is cancelled, or its caller cannot be called back: it takes
            no place in the queue any more. It may be called more than once, from any thread.
    """

    __slots__ = ("_enqueue", "_on_end", "cancelled", "on_output", "payload")

    def __init__(
        self,
        payload: Payload,
        on_output: Callable[[Output], None],
        enqueue: Callable[[EngineRequest], None],
        on_end: Callable[[EngineRequest], None] | None = None,
    ) -> None:
        self.payload = payload
        self.on_output = on_output
        self.cancelled = False
        self._enqueue = enqueue
        self._on_end = on_end

    def deliver(self, output: Output) -> bool:
        """Call back with an output, from the engine thread; return False if the request is over for its caller."""
        if self.cancelled:
            return False
        if isinstance(output, _LAST):
            self._end()  # before the callback: its caller may submit the next request at once
        try:
            self.on_output(output)
        except Exception:  # noqa: BLE001 - the caller's event loop is closed, for example; the other requests go on
            self._end()
            return False
        return True

    def cancel(self) -> None:
        """Take the request out of the batch; harmless at any time. A chunk that is under way may still arrive."""
        self.cancelled = True
        self._end()
        self._enqueue(self)

    def _end(self) -> None:
        if self._on_end is not None:
            self._on_end(self)
