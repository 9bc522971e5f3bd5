"""A constraint of one response: rules out, at each step, the tokens that its grammar does not allow.

Only the engine thread may use this module. The mask is made by llguidance on the CPU, while the device computes the
logits. Tokens that end a turn are allowed exactly where the response is complete::

    response    <think> ... </think>   {  "  a  "  :  1  }   <end>
    grammar     ---- waits (after) --> |-- masks each token -->|
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from unified_llm._backends.mlx.engine_types import Constraint, EngineError
from unified_llm._backends.mlx.grammars import Grammars

if TYPE_CHECKING:
    import mlx.core as mx
    import numpy as np
    from llguidance import LLMatcher
    from numpy.typing import NDArray


class ConstrainedTokens:
    """The change of the logits that keeps a response to a constraint: see ``penalties.Change``.

    It depends on the tokens alone, so a draft model's proposals may be taken back.

    Args:
        constraint: The constraint.
        grammars: Those of the model.

    Raises:
        EngineError: The grammar is wrong, or llguidance cannot express it.
    """

    def __init__(self, constraint: Constraint, grammars: Grammars) -> None:
        self._start = grammars.compile(constraint)
        self._guide = grammars.guide()
        self._after = (constraint.after or "").encode()
        self._masks: _Masks | None = None  # made once the number of logits is known
        self._begin()

    def _begin(self) -> None:
        self._matcher: LLMatcher = self._start.deep_copy()
        self._tokens: list[int] = []
        self._waits = bool(self._after)
        self._written = b""  # while it waits
        self._waited = 0  # tokens

    def __call__(self, response: mx.array, logits: mx.array) -> mx.array:
        import mlx.core as mx

        mx.async_eval(logits)  # type: ignore[no-untyped-call]
        self._follow(response)
        if self._waits:
            return logits
        if self._masks is None:
            self._masks = _Masks(self._guide.vocab_size, logits.shape[-1], self._guide.eos_tokens)
        return mx.where(self._masks.compute(self._matcher), logits, -float("inf"))

    def _follow(self, response: mx.array) -> None:
        """Take the tokens that were written since the last call; mostly that is one."""
        length, known = response.size, len(self._tokens)
        if length == known + 1:
            self._take(cast("int", response[-1].item()))
            return
        tokens = cast("list[int]", response.tolist()) if length else []
        kept = 0
        while kept < min(length, known) and tokens[kept] == self._tokens[kept]:
            kept += 1
        if kept < known and (kept < self._waited or not self._matcher.rollback(known - kept)):
            self._begin()
            kept = 0
        del self._tokens[kept:]
        for token in tokens[kept:]:
            self._take(token)

    def _take(self, token: int) -> None:
        self._tokens.append(token)
        if self._waits:
            self._wait(token)
        elif not (self._matcher.consume_token(token) or self._is_end(token)):
            raise EngineError("server", "The model left the grammar of its response: report it, with the grammar.")

    def _is_end(self, token: int) -> bool:
        """Return whether a token follows the end of the response: the batch computes one more."""
        return self._matcher.is_stopped() and token in self._guide.eos_tokens

    def _wait(self, token: int) -> None:
        self._waited = len(self._tokens)
        self._written += self._guide.decode_bytes([token])
        before, tag, rest = self._written.partition(self._after)
        self._written = b"" if tag else before[-len(self._after) :]
        if not tag:
            return
        self._waits = False
        if (begun := rest.lstrip()) and not self._matcher.consume_tokens(self._guide.tokenize_bytes(begun)):
            raise EngineError("server", "The model began its response with what the grammar does not allow.")


class _Masks:
    """The buffers of the masks of one request.

    Args:
        known: The number of tokens that the tokenizer has.
        logits: The number of logits that the model has, which may be more.
        ends: The tokens that end a turn.
    """

    def __init__(self, known: int, logits: int, ends: list[int]) -> None:
        import numpy as np
        from llguidance.numpy import allocate_token_bitmask

        self._bits: NDArray[np.int32] = allocate_token_bitmask(1, known)
        self._known = min(known, logits)
        self._allowed: NDArray[np.bool_] = np.zeros(logits, dtype=np.bool_)
        self._end: NDArray[np.bool_] = np.zeros(logits, dtype=np.bool_)
        self._end[[token for token in ends if token < logits]] = True

    def compute(self, matcher: LLMatcher) -> mx.array:
        """Return which tokens are allowed next.

        Raises:
            EngineError: The grammar is too complex.
        """
        import numpy as np
        from llguidance.numpy import fill_next_token_bitmask

        if matcher.is_error():
            raise EngineError("unsupported", "The grammar of the response is too complex: simplify it.")
        if matcher.is_stopped():
            return _array(self._end)
        fill_next_token_bitmask(matcher, self._bits)
        if matcher.is_error():
            message = "The grammar of the response is too complex, or allows no response: simplify it."
            raise EngineError("unsupported", message)
        bits = np.unpackbits(self._bits.view(np.uint8)[0], count=self._known, bitorder="little")
        self._allowed[: self._known] = bits
        return _array(self._allowed)


def _array(mask: NDArray[np.bool_]) -> mx.array:
    """Copy a mask, so that its buffer may be used again."""
    import mlx.core as mx

    return mx.array(cast("Any", mask))  # the types of MLX do not know numpy's
