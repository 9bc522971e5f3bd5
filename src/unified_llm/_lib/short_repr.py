"""Short reprs: what matters first, and no text of a prompt or a response."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_LONGEST_NAME: Final = 100


def short_repr(thing: object, facts: Iterable[str]) -> str:
    """Return ``ClassName(fact, fact)``; empty facts are left out.

    Never raises: users make such objects too, and a debugger shows one that has values of wrong types.
    """
    shown: list[str] = []
    try:
        shown.extend(fact for fact in facts if fact)
    except Exception:  # noqa: BLE001 - whatever a value of the wrong type leads to
        shown.append("...")
    return f"{type(thing).__name__}({', '.join(shown)})"


def served_by(provider: str | None, model: str | None) -> str:
    """Return ``provider/model`` as far as it is known. A server reports the model, so it is cut and made printable."""
    name = "/".join(part for part in (provider, model) if part)
    return printable(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...")


def printable(text: str) -> str:
    """Return a name with U+FFFD for what is no printable character: controls, overrides of the writing direction."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def count(number: int, noun: str) -> str:
    """Return ``1 call``, ``2 calls``; nothing for 0."""
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""


def tokens(usage: tuple[int, int] | None) -> str:
    """Return ``12 + 34 tokens``: those of the prompt and those of the completion."""
    return f"{usage[0]} + {usage[1]} tokens" if usage else ""
