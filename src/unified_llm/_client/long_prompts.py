"""Prompts that are certainly longer than a target's context window: it is not asked.

Only where the window and the tokenizer are known for certain, since what might fit is never refused: at OpenAI's own
address, whose tokenizers make at least one token of each word (``token_estimates.least_tokens``).
"""

from __future__ import annotations

from typing import Final

from unified_llm._core.codec import AnyRequest
from unified_llm._core.target import Target
from unified_llm._core.token_estimates import least_tokens, texts_of
from unified_llm._state import learned_windows
from unified_llm.types.requests import LLMRequest

TOO_LONG: Final = "its context window of "
"""The beginning of the reason why a target is not asked."""

_SHORTEST_WORD: Final = 2
"""Characters of a word and the blank before it, which are a token at least."""
# Characters of a prompt that fits into any window of the table.
_SHORT: Final = _SHORTEST_WORD * 4_096
# With this field, the Responses API cuts a prompt to the window.
_CUT_TO_FIT: Final = "truncation"


class PromptLength:
    """The length of a request's prompt, counted where a target's window makes it necessary."""

    __slots__ = ("_characters", "_least", "_request")

    def __init__(self, request: AnyRequest) -> None:
        self._request = request if isinstance(request, LLMRequest) else None
        self._characters = self._least = -1  # not counted yet

    def exceeds(self, target: Target) -> str | None:
        """Say why the prompt cannot fit into the target's context window; None where it may."""
        request = self._request
        if request is None or not target.quirks.words_are_tokens:
            return None
        if self._characters < 0:
            self._characters = sum(map(len, texts_of(request.messages)))
        if self._characters < _SHORT or (window := _certain_window(target)) is None:
            return None
        if self._characters <= _SHORTEST_WORD * window:
            return None
        if _CUT_TO_FIT in request.extra_body or _CUT_TO_FIT in target.extra_body:
            return None
        if self._least < 0:
            self._least = sum(map(least_tokens, texts_of(request.messages)))
        if self._least <= window:
            return None
        return f"{TOO_LONG}{window:,} tokens is smaller than the prompt, which has at least {self._least:,}"


def _certain_window(target: Target) -> int | None:
    """Return the window that the server named, or that of the table at the vendor's own address.

    A smaller one that the user declared may be a wish.
    """
    named = learned_windows.current().get(target)
    if target.window_declared:
        return None if named is None else max(named, target.context_window or 0)
    return named or (target.context_window if target.vendor_host else None)
