"""Texts to embed or to rank, from what users pass. No message repeats a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unified_llm.exceptions import ValidationError


def list_of_texts(texts: Any, method: str, method_of_one: str) -> Sequence[str]:
    """Check that texts are a list of strings, which may be empty.

    Args:
        texts: What the user passed.
        method: The method that was called.
        method_of_one: The method that takes one text.

    Raises:
        ValidationError: They are something else, also one text alone: its letters would be the texts.
    """
    needs = f"{method}() needs a list of strings"
    if isinstance(texts, str):
        raise ValidationError(f"{needs}; got one string: write [text], or call {method_of_one}(text).")
    return _checked(texts, needs)


def one_text(text: Any, method: str, method_of_several: str) -> str:
    """Check that a text is a string.

    Args:
        text: What the user passed.
        method: The method that was called.
        method_of_several: The method that takes a list of texts.

    Raises:
        ValidationError: It is something else.
    """
    if isinstance(text, str):
        return text
    several = f": for several texts call {method_of_several}(texts)" if isinstance(text, (list, tuple)) else ""
    raise ValidationError(f"{method}() needs a string; got {type(text).__name__}{several}.")


def one_or_several(texts: Any) -> tuple[str, ...]:
    """Return the texts of ``embed()``: one, or at least one of a list.

    Raises:
        ValidationError: They are something else.
    """
    needs = "embed() needs a string, or a list of at least one string"
    checked = (texts,) if isinstance(texts, str) else tuple(_checked(texts, needs))
    if not checked:
        raise ValidationError(f"{needs}; the list is empty.")
    return checked


def _checked(texts: Any, needs: str) -> Sequence[str]:
    if isinstance(texts, (bytes, Mapping)) or not isinstance(texts, Sequence):
        raise ValidationError(f"{needs}; got {type(texts).__name__}{_conversion(texts)}.")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValidationError(f"{needs}; item {position} is of the type {type(text).__name__}.")
    return texts


def _conversion(texts: Any) -> str:
    """Say how a list is made of it, if there is a way."""
    if callable(getattr(texts, "tolist", None)):  # of NumPy, pandas, PyTorch
        return ": use .tolist()"
    if isinstance(texts, (str, bytes, Mapping)) or not isinstance(texts, Iterable):
        return ""
    return ": use list(...)"
