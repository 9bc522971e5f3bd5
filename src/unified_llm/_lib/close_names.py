"""The known name that a misspelled one means: one rule for arguments, providers, tools and imports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

LIKENESS: Final = 0.6
"""How alike two names are at least, by difflib's measure from 0 to 1, where a wrong suggestion does no harm."""


def closest(name: str, known: Iterable[str], likeness: float = LIKENESS) -> str | None:
    """Return the known name that is most like another: in other case, without separators, or misspelled.

    Args:
        name: What was written.
        known: The names that exist.
        likeness: The least likeness of a misspelling.
    """
    from difflib import get_close_matches  # here, because most programs misspell nothing

    by_letters: dict[str, list[str]] = {}
    for known_name in known:
        by_letters.setdefault(_letters(known_name), []).append(known_name)
    letters = _letters(name)
    close = [letters] if letters in by_letters else get_close_matches(letters, by_letters, 1, likeness)
    # Names may differ in case alone: outage and Outage.
    return get_close_matches(name, by_letters[close[0]], 1, 0.0)[0] if close else None


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))
