"""Texts that are certainly too long for a context window, found without turning them into tokens.

Tokenising a text of many megabytes takes seconds, in which nothing else runs, and gigabytes of memory. No token stands
for more characters than the longest one of the vocabulary has, so a text has at least its length divided by that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from unified_llm._backends.mlx.engine_types import EngineError
from unified_llm._backends.mlx.model_files import read_tokenizer

# Unicode normalisation composes some characters: at most so many become one (unicode.org/faq/normalization.html says
# up to three for NFC; one more as a margin).
_COMPOSED: Final = 4
# Steps of the `tokenizers` library that keep the number of characters that are not white space, or compose them.
_KNOWN_NORMALIZERS: Final = frozenset({"NFC", "NFD", "NFKD", "NFKC", "Lowercase", "Prepend", "Sequence"})


class PromptBounds:
    """Finds texts that are too long for the tokenizer of the model in a folder.

    Args:
        folder: The folder of the model.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self, text: str, window: int | None) -> None:
        """Refuse a text that certainly has more tokens than a context window.

        Raises:
            EngineError: It has.
        """
        if window is None or len(text) <= window or self._longest is None:
            return
        if (least := count_least(text, self._longest)) >= window:
            message = f"The prompt has at least {least} tokens and the model reads {window}: shorten it."
            raise EngineError("context", message, context_window=window)

    @cached_property
    def _longest(self) -> int | None:
        return longest_token(read_tokenizer(self._folder))


def longest_token(tokenizer: Mapping[str, Any]) -> int | None:
    """Return the most characters of a text, without white space, that one token can stand for.

    Args:
        tokenizer: The content of ``tokenizer.json``.

    Returns:
        None where that cannot be told: a tokenizer that drops characters, or that has one token for any number of
        unknown ones.
    """
    model: Mapping[str, Any] = tokenizer.get("model") or {}
    vocabulary = model.get("vocab")
    if model.get("type") != "BPE" or not isinstance(vocabulary, dict) or not vocabulary:
        return None
    byte_level = "ByteLevel" in json.dumps([tokenizer.get("pre_tokenizer"), tokenizer.get("decoder")])
    if not (byte_level or model.get("byte_fallback")) and model.get("fuse_unk"):
        return None
    normalizer = tokenizer.get("normalizer")
    if not _keeps_length(normalizer):
        return None
    added = (token.get("content", "") for token in tokenizer.get("added_tokens") or ())
    longest = max(map(len, (*vocabulary, *added)))
    return longest * (_COMPOSED if normalizer else 1)


def count_least(text: str, longest: int) -> int:
    """Return the fewest tokens that a text can have; white space is not counted, since tokenizers may drop it."""
    return sum(map(len, text.split())) // longest


def _keeps_length(normalizer: Any) -> bool:
    if normalizer is None:
        return True
    match normalizer:
        case {"type": "Replace", "pattern": {"String": str(old)}, "content": str(new)}:
            return len(old) <= max(len(new), 1) or old.isspace()
        case {"type": "Sequence", "normalizers": list(steps)}:
            return all(_keeps_length(step) for step in steps)
        case {"type": str(kind)}:
            return kind in _KNOWN_NORMALIZERS
        case _:
            return False
