"""Texts that are refused before they are turned into tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unified_llm._backends.mlx.engine_types import EngineError
from unified_llm._backends.mlx.prompt_bounds import PromptBounds, count_least, longest_token

BYTES: dict[str, Any] = {
    "model": {"type": "BPE", "vocab": {"a": 0, "Ġlonger": 1}},
    "decoder": {"type": "ByteLevel"},
    "added_tokens": [{"content": "<|im_start|>"}],
}


def test_a_tokenizer_may_have_more_parts_than_any_other_file_of_a_model(tmp_path: Path) -> None:
    text = json.dumps({**BYTES, "model": {**BYTES["model"], "merges": "-"}}).replace('"-"', f"[{'[],' * 600_000}[]]")
    (tmp_path / "tokenizer.json").write_text(text)  # as of Gemma, with 515,000 pairs
    PromptBounds(tmp_path).check("x" * 100, 20)
    with pytest.raises(EngineError, match="at least 100 tokens"):
        PromptBounds(tmp_path).check("x" * 1200, 20)


def test_no_token_stands_for_more_than_the_longest_of_the_vocabulary() -> None:
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    shrinking = {"type": "Replace", "pattern": {"Regex": "x+"}, "content": "x"}
    unknown = {"model": {**BYTES["model"], "fuse_unk": True}}
    cases: list[tuple[dict[str, Any], int | None]] = [
        (BYTES, len("<|im_start|>")),
        ({**BYTES, "added_tokens": []}, len("Ġlonger")),
        ({**BYTES, "normalizer": {"type": "NFC"}}, 4 * len("<|im_start|>")),
        ({**BYTES, "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend"}, replace]}}, 48),
        ({**BYTES, "normalizer": shrinking}, None),
        ({**BYTES, "normalizer": {"type": "Sequence", "normalizers": [shrinking]}}, None),
        (unknown, None),
        ({"model": {**unknown["model"], "byte_fallback": True}}, len("Ġlonger")),
        ({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}, None),
        ({"model": {"type": "BPE", "vocab": {}}}, None),
        ({}, None),
    ]
    for tokenizer, longest in cases:
        assert longest_token(tokenizer) == longest
    assert (count_least("ab cd\n" * 3, 2), count_least(" " * 99, 2)) == (6, 0)


def test_a_text_that_is_certainly_too_long_is_refused_with_the_window(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(BYTES))
    bounds = PromptBounds(tmp_path)
    for text, window in (("x" * 1_199, 100), ("x y " * 599, 100), (" " * 9_999, 100), ("x" * 9_999, None)):
        bounds.check(text, window)
    with pytest.raises(EngineError, match="at least 100 tokens and the model reads 100: shorten it") as refused:
        bounds.check("x" * 1_200, 100)
    assert (refused.value.kind, refused.value.context_window) == ("context", 100)
    PromptBounds(tmp_path / "nothing").check("x" * 9_999, 100)
