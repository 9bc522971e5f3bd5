"""Log probabilities of the tokens of one response, in step with its text.

Only the engine thread may use this module. They are those from which the token was chosen: after penalties, biases and
the constraint, and before the temperature and what it goes with (top-p, top-k, min-p), as vLLM and mlx_lm.server have
them.

Text is held back where a character is not complete, or may begin a stop string. A token is delivered with the text that
begins in it, so that what follows a stop string has none::

    tokens    Par | is | .St | op        stop string "Stop"
    text      Par   is   .
    logprobs  Par   is   .St             "op" begins after the end of the text
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from unified_llm._backends.mlx.engine_types import EngineError, Sampling
from unified_llm.types.responses import TokenLogprob

if TYPE_CHECKING:
    import mlx.core as mx

    from unified_llm._backends.mlx.loading import LoadedModel


def make_token_logprobs(sampling: Sampling, loaded: LoadedModel) -> TokenLogprobs | None:
    """Return what collects the log probabilities of a response; None where they were not requested."""
    return TokenLogprobs(sampling.top_logprobs, _bytes_of_tokens(loaded)) if sampling.logprobs else None


def _bytes_of_tokens(loaded: LoadedModel) -> Callable[[int], bytes]:
    """Return a function that gives the bytes of a token; a tokenizer alone cannot show a part of a character."""
    try:
        guide = loaded.grammars.guide()
    except EngineError:
        return lambda token: loaded.tokenizer.decode([token]).encode()
    return lambda token: guide.decode_bytes([token]) if token < guide.vocab_size else b""


class TokenLogprobs:
    """The log probabilities of a response that were not delivered yet.

    Args:
        top: The number of likeliest tokens at each place.
        bytes_of: Returns the bytes of a token.
    """

    def __init__(self, top: int, bytes_of: Callable[[int], bytes]) -> None:
        self._top = top
        self._bytes_of = bytes_of
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()  # with the characters before each
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._written = self._shown = 0  # characters

    def add(self, token: int, logprobs: mx.array) -> None:
        """Take a token that was written, and the log probabilities of all tokens at its place."""
        data = self._bytes_of(token)
        entry = TokenLogprob(_text(data), _number(logprobs[token]), self._likeliest(logprobs))
        self._waiting.append((self._written, entry))
        self._written += len(self._decoder.decode(data))

    def take(self, text: str, *, is_whole: bool) -> tuple[TokenLogprob, ...]:
        """Return the entries of the tokens that begin in a text which is delivered now.

        Args:
            text: The text.
            is_whole: The model has ended the response by itself, so that all tokens belong to it.
        """
        self._shown += len(text)
        entries: list[TokenLogprob] = []
        while self._waiting and (is_whole or self._waiting[0][0] < self._shown):
            entries.append(self._waiting.popleft()[1])
        return tuple(entries)

    def _likeliest(self, logprobs: mx.array) -> tuple[tuple[str, float], ...]:
        if not self._top:
            return ()
        import mlx.core as mx

        count = min(self._top, logprobs.size)
        tokens = mx.argpartition(-logprobs, count - 1)[:count]
        ids = cast("list[int]", tokens.tolist())
        pairs = zip(ids, cast("list[float]", logprobs[tokens].astype(mx.float32).tolist()), strict=True)
        # Tokens that the constraint rules out have no probability at all.
        possible = [(logprob, token) for token, logprob in pairs if logprob > -float("inf")]
        return tuple((_text(self._bytes_of(token)), logprob) for logprob, token in sorted(possible, reverse=True))


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _number(value: mx.array) -> float:
    import mlx.core as mx

    return cast("float", value.astype(mx.float32).item())
