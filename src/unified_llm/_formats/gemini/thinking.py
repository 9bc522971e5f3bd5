"""What depends on a model's generation: how its thinking is turned up and down, and whether it demands signatures.

Gemini says so nowhere but in its documentation, so it is read off the model's name.
Sources: https://ai.google.dev/gemini-api/docs/generate-content/thinking and .../thought-signatures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Generation: TypeAlias = tuple[int, int]

_NUMBER: Final = re.compile(r"-(\d{1,2})(?:\.(\d{1,2}))?(?=-|$)")
_NEWEST: Final[Generation] = (99, 0)  # ``gemini-flash-latest`` and its like
_LEVELS: Final[Generation] = (3, 0)  # the first that takes a level in place of a budget, and demands signatures
_NO_MINIMAL: Final[Generation] = (3, 7)  # github.com/dzivkovi/video-intel/releases/tag/v2.7.1

# Tokens, as Google's own OpenAI-compatible endpoint translates the words (ai.google.dev/gemini-api/docs/openai).
_BUDGETS: Final[Mapping[str, int]] = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_LEAST_OF_PRO: Final = 128  # a pro model cannot be kept from thinking
_HIGHEST: Final = frozenset({"high", "xhigh", "max"})  # no model is known to take more than HIGH


def generation(model: str) -> Generation | None:
    """``(2, 5)`` for ``gemini-2.5-flash``; None where a name does not say, or means no Gemini."""
    name = model.lower().rpartition("/")[2]
    if not name.startswith("gemini-"):
        return None
    found = _NUMBER.search(name)
    if found is None:
        return _NEWEST if name.endswith("-latest") else None
    return int(found[1]), int(found[2] or 0)


def demands_signatures(model: str) -> bool:
    """Whether it refuses a function call of its own turn that comes back without its signature."""
    known = generation(model)
    return known is not None and known >= _LEVELS


def thinking_config(effort: str, model: str) -> dict[str, Any]:
    """``thinkingConfig`` for a ``reasoning_effort``; a word that is not known goes to the provider as it is."""
    word = effort.lower()
    known = generation(model)
    if known is not None and known < _LEVELS and word in _BUDGETS:
        budget = _BUDGETS[word]
        if not budget and "pro" in model.lower():
            budget = _LEAST_OF_PRO
        amount: dict[str, Any] = {"thinkingBudget": budget}
    else:
        amount = {"thinkingLevel": _level(word, model, known)}
    return amount if word == "none" else {**amount, "includeThoughts": True}


def _level(word: str, model: str, known: Generation | None) -> str:
    if word in _HIGHEST:
        return "HIGH"
    if word not in {"none", "minimal"}:
        return word.upper()
    # Nothing less is to be had, and pro models refuse even that.
    return "MINIMAL" if "flash" in model.lower() and known is not None and known < _NO_MINIMAL else "LOW"
