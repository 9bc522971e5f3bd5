"""Identifiers of tool calls: no two calls of one answer, or of one conversation, have the same."""

from __future__ import annotations

from typing import Final

from unified_llm.providers.shapes import text_or_none

# Where a number is added to an identifier, so much of it is kept: Anthropic takes 64 letters.
_KEPT: Final = 56


def unused(identifier: str, used: set[str]) -> str:
    """The identifier, with a number after it if it is taken; it is taken from then on."""
    name, number = identifier, 1
    while name in used:
        number += 1
        name = f"{identifier[:_KEPT]}_{number}"
    used.add(name)
    return name


class Identifiers:
    """Those of one answer: the provider's own, unless it gives none, or one of them twice. ``len`` counts them."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        """No call has been named."""
        self._used: set[str] = set()

    def __len__(self) -> int:
        """How many calls have been named."""
        return len(self._used)

    def take(self, said: object, otherwise: str | None = None) -> str:
        """A name for the next call.

        Args:
            said: What the provider calls it.
            otherwise: The name of one that the provider does not name; ``call_0`` and so on if it is None.
        """
        return unused(text_or_none(said) or otherwise or f"call_{len(self)}", self._used)
