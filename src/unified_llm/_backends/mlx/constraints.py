"""A constraint of one response: rules out, at each step, the tokens that its grammar does not allow.

Only the engine thread may use this module. The mask is made by llguidance on the CPU, while the device computes the
logits. Tokens that end a turn are allowed exactly where the response is complete. Two texts may be waited for: the end
of reasoning (``after``), and the opening of a call of a tool (``opening``)::

    response    <think> ... </think>   {  "  a  "  :  1  }   <end>
    grammar     ---- waits (after) --> |-- masks each token -->|

    response    < think > ... </think>   {  "  a  "  :  1  }   <end>
    grammar     |blocks|- waits --------> |-- masks each token -->|   the tag may stand in place of what is constrained

    response    <think> ... </think>   I look. <tool_call>  {  "name" ... </tool_call>   More ...  <end>
    grammar     ---- waits (after) --> | waits (opening) -> |-- masks each token ----->| waits (opening) ...

While it waits, a step costs the comparison of a few bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from unified_llm._backends.mlx.engine_types import Constraint, EngineError
from unified_llm._backends.mlx.grammars import Grammars
from unified_llm._formats.text_reasoning import TAGS

if TYPE_CHECKING:
    import mlx.core as mx
    import numpy as np
    from llguidance import LLMatcher
    from numpy.typing import NDArray

_TOO_COMPLEX: Final = "The grammar of the response is too complex, or allows no response: simplify it."


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
        self._after, self._opening = (constraint.after or "").encode(), constraint.opening.encode()
        self._opening_tokens: list[int] = self._guide.tokenize_str(constraint.opening, parse_special=True)
        self._may_repeat = constraint.may_repeat
        self._blocks = {tag.encode(): TAGS[tag].encode() for tag in constraint.blocks}
        self._masks: _Masks | None = None  # made once the number of logits is known
        self._tokens: list[int] = []
        self._beyond = 0  # how many of them stand after the end of the response: the matcher did not take them
        self._begin()

    def _begin(self) -> None:
        self._tokens.clear()
        self._beyond = 0
        self._matcher: LLMatcher = self._start.deep_copy()
        self._wait(self._after or self._opening, b"")
        # What was written so far, while that may be the beginning of a tag of reasoning; None once it is not.
        self._begun: bytes | None = b"" if self._blocks else None
        self._fits = True  # what was written so far conforms to the grammar

    def _wait(self, awaited: bytes, written: bytes) -> None:
        """Wait for a text, or for none.

        Args:
            awaited: The text.
            written: What was written before the next token, and may be the beginning of the text.
        """
        self._awaited, self._written = awaited, written
        self._since = len(self._tokens)  # the tokens before can be taken back by beginning again alone
        self._before = written

    def __call__(self, response: mx.array, logits: mx.array) -> mx.array:
        import mlx.core as mx

        mx.async_eval(logits)  # type: ignore[no-untyped-call]
        self._follow(response)
        if self._awaited:
            return logits
        if self._masks is None:
            self._masks = _Masks(self._guide.vocab_size, logits.shape[-1], self._guide.eos_tokens)
        mask = self._masks.compute(self._matcher if self._fits else None, self._next_of_blocks())
        return mx.where(mask, logits, -float("inf"))

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
        if kept < known and not self._take_back(kept):
            self._begin()
            kept = 0
        for token in tokens[kept:]:
            self._take(token)

    def _take_back(self, kept: int) -> bool:
        """Take back all tokens but the first ``kept``; return False where all have to be taken once more."""
        if kept < self._since or self._begun is not None:
            return False
        dropped = len(self._tokens) - kept
        if not self._awaited and not self._matcher.rollback(max(0, dropped - self._beyond)):
            return False
        self._beyond = max(0, self._beyond - dropped)
        del self._tokens[kept:]
        if self._awaited:
            first = max(self._since, kept - len(self._awaited))
            before = self._before if first == self._since else b""
            self._written = before + self._guide.decode_bytes(self._tokens[first:])
        return True

    def _take(self, token: int) -> None:
        self._tokens.append(token)
        if self._begun is not None and self._take_first(token, self._begun):
            return
        if self._awaited:
            self._look_for_awaited(token)
        elif not self._consume(token):
            raise self._leaving_error()
        elif self._opening and self._may_repeat and self._matcher.is_accepting():
            self._wait(self._opening, b"")

    def _consume(self, token: int) -> bool:
        """Take a token that the grammar allows, or one more after the end, as the batch and draft models write it."""
        if self._matcher.try_consume_tokens([token]) == 1:
            return True
        self._beyond += 1
        return token in self._guide.eos_tokens  # also where a grammar names it: the matcher takes it at the end alone

    def _leaving_error(self) -> EngineError:
        """Return the error for a token that the matcher does not take, though its mask allowed it."""
        if self._matcher.is_error():
            return EngineError("unsupported", _TOO_COMPLEX)
        return EngineError("server", "The model left the grammar of its response: report it, with the grammar.")

    def _take_first(self, token: int, begun: bytes) -> bool:
        """Take a token of a response that may begin with reasoning.

        Args:
            token: The token.
            begun: What was written before it.

        Returns:
            Whether nothing is left to do. What the grammar allows is no reasoning.
        """
        written = (begun + self._guide.decode_bytes([token])).lstrip()
        is_held = not self._awaited
        if is_held:
            self._fits = self._fits and self._consume(token)
        tag = next((tag for tag in self._blocks if tag.startswith(written) or written.startswith(tag)), None)
        if tag is None or (written.startswith(tag) and is_held and self._fits):
            if is_held and not self._fits:
                raise self._leaving_error()
            self._begun, self._since = None, len(self._tokens)
            return is_held
        self._begun = written
        if written.startswith(tag):
            self._begun, self._fits = None, True
            self._matcher = self._start.deep_copy()
            self._wait(self._blocks[tag], written[len(tag) :])
            return True
        return is_held

    def _next_of_blocks(self) -> list[int]:
        """Return the tokens with which tags of reasoning begin or go on."""
        if self._begun is None:
            return []
        rests = (tag[len(self._begun) :].decode(errors="ignore") for tag in self._blocks if tag.startswith(self._begun))
        return [self._guide.tokenize_str(rest, parse_special=True)[0] for rest in rests if rest]

    def _look_for_awaited(self, token: int) -> None:
        written = self._written + self._guide.decode_bytes([token])
        _, opening, rest = written.partition(self._awaited)
        if not opening:
            self._written = written[-len(self._awaited) :]
        elif self._awaited is self._opening:
            self._begin_call(rest)
        elif self._opening:
            self._wait(self._opening, rest)  # in a text so short there is no opening yet
        else:
            self._wait(b"", b"")
            if (begun := rest.lstrip()) and not self._matcher.consume_tokens(self._guide.tokenize_bytes(begun)):
                raise EngineError("server", "The model began its response with what the grammar does not allow.")

    def _begin_call(self, rest: bytes) -> None:
        """Hold the response to the grammar from the opening on.

        Args:
            rest: What the token has after the opening. Where the grammar does not allow that, the opening is a part of
                the text.
        """
        matcher = self._start.deep_copy()
        begun = [*self._opening_tokens, *(self._guide.tokenize_bytes(rest) if rest else ())]
        if matcher.try_consume_tokens(begun) == len(begun):
            self._matcher = matcher
            self._wait(b"", b"")
        else:
            self._written = rest


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

    def compute(self, matcher: LLMatcher | None, further: Sequence[int] = ()) -> mx.array:
        """Return which tokens are allowed next.

        Args:
            matcher: The place in the grammar; None where the grammar allows nothing.
            further: Tokens that are allowed beside.

        Raises:
            EngineError: The grammar is too complex.
        """
        import numpy as np
        from llguidance.numpy import fill_next_token_bitmask

        if matcher is None:
            self._allowed[:] = False
        elif matcher.is_error():
            raise EngineError("unsupported", _TOO_COMPLEX)
        elif matcher.is_stopped():
            return _array(self._end)
        else:
            fill_next_token_bitmask(matcher, self._bits)
            if matcher.is_error():
                raise EngineError("unsupported", _TOO_COMPLEX)
            bits = np.unpackbits(self._bits.view(np.uint8)[0], count=self._known, bitorder="little")
            self._allowed[: self._known] = bits
        for token in further:
            self._allowed[token] = True
        return _array(self._allowed)


def _array(mask: NDArray[np.bool_]) -> mx.array:
    """Copy a mask, so that its buffer may be used again."""
    import mlx.core as mx

    return mx.array(cast("Any", mask))  # the types of MLX do not know numpy's
