"""Settings that depend on a model's generation: how its thinking is configured, and whether it demands signatures.

The API does not expose them, only the documentation does, so they are derived from the model's name.
Sources: https://ai.google.dev/gemini-api/docs/generate-content/thinking and .../thought-signatures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Generation: TypeAlias = tuple[int, int]

_VERSION: Final = re.compile(r"-(\d{1,2})(?:\.(\d{1,2}))?(?=-|$)")
_NEWEST: Final[Generation] = (99, 0)  # for ``gemini-flash-latest`` and similar names
_FIRST_WITH_LEVELS: Final[Generation] = (3, 0)  # takes a level instead of a budget, demands signatures
_NO_MINIMAL: Final[Generation] = (3, 7)  # github.com/dzivkovi/video-intel/releases/tag/v2.7.1

# Tokens, as Google's own OpenAI-compatible endpoint translates efforts (ai.google.dev/gemini-api/docs/openai).
_BUDGETS: Final[Mapping[str, int]] = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_MIN_BUDGET_OF_PRO: Final = 128  # thinking of a pro model cannot be turned off
_HIGH_EFFORTS: Final = frozenset({"high", "xhigh", "max"})  # no known model accepts more than HIGH


def generation(model: str) -> Generation | None:
    """Return ``(2, 5)`` for ``gemini-2.5-flash``; None for a name without a version or of no Gemini model."""
    name = model.lower().rpartition("/")[2]
    if not name.startswith("gemini-"):
        return None
    match = _VERSION.search(name)
    if match is None:
        return _NEWEST if name.endswith("-latest") else None
    return int(match[1]), int(match[2] or 0)


def demands_signatures(model: str) -> bool:
    """Return whether the model refuses a function call of the current turn that lacks its signature."""
    version = generation(model)
    return version is not None and version >= _FIRST_WITH_LEVELS


def thinking_config(effort: str, model: str) -> dict[str, Any]:
    """Write ``thinkingConfig`` for a ``reasoning_effort``; an unknown effort is sent to the provider unchanged."""
    word = effort.lower()
    version = generation(model)
    if version is not None and version < _FIRST_WITH_LEVELS and word in _BUDGETS:
        budget = _BUDGETS[word]
        if not budget and "pro" in model.lower():
            budget = _MIN_BUDGET_OF_PRO
        amount: dict[str, Any] = {"thinkingBudget": budget}
    else:
        amount = {"thinkingLevel": _level(word, model, version)}
    return amount if word == "none" else {**amount, "includeThoughts": True}


def _level(word: str, model: str, version: Generation | None) -> str:
    if word in _HIGH_EFFORTS:
        return "HIGH"
    if word not in {"none", "minimal"}:
        return word.upper()
    # MINIMAL is the lowest level; pro models refuse it.
    return "MINIMAL" if "flash" in model.lower() and version is not None and version < _NO_MINIMAL else "LOW"
