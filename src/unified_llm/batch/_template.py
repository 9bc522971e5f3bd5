"""Prompts made of the columns of a row: ``Translate to {to}: {text}``.

A template has names of columns in braces and nothing else: ``{x.y}`` is a column of that very name, no attribute of
one, so that neither a template nor a row can reach anything but the row. A brace of the text is written twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm.batch._lines import shown
from unified_llm.exceptions import ValidationError

_PIECES: Final = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")
_MOST_COLUMNS: Final = 20


class MissingColumnError(ValueError):
    """A row lacks a column, or has nothing in it that a prompt can be made of; the message names it."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with the names of columns in braces.

    Attributes:
        pieces: Pairs of a text and the name of the column after it, which is empty at the end.
    """

    pieces: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template.

        Raises:
            ValidationError: A brace is alone, or it names no column.
        """
        pieces, literal = list[tuple[str, str]](), ""
        for piece in _PIECES.split(text):
            if piece in {"{{", "}}"}:
                literal += piece[0]
            elif piece in {"{", "}", "{}"}:
                raise ValidationError(
                    f"The template has {piece} without the name of a column: write {{name}}, "
                    "and braces of the text twice."
                )
            elif piece.startswith("{"):
                pieces.append((literal, piece[1:-1]))
                literal = ""
            else:
                literal += piece
        if not pieces:
            raise ValidationError(
                "The template names no column, so every prompt would be the same: write {name} in it."
            )
        return cls((*pieces, (literal, "")))

    @property
    def columns(self) -> list[str]:
        """The columns that it names."""
        return [*dict.fromkeys(name for _, name in self.pieces if name)]

    def fill(self, row: Mapping[str, Any]) -> str:
        """Return the text for a row.

        Raises:
            MissingColumnError: It lacks a column, or has nothing in it, or bytes.
        """
        return "".join(text + (as_text(value_of(row, name)) if name else "") for text, name in self.pieces)


def value_of(row: Mapping[str, Any], name: str) -> Any:
    """Return what a row has in a column.

    Raises:
        MissingColumnError: It has no such column, or nothing in it, or bytes.
    """
    if name not in row:
        raise MissingColumnError(no_column(row, name))
    if row[name] is None:
        raise MissingColumnError(f"its column {shown(name)} is empty")
    if isinstance(row[name], bytes):
        raise MissingColumnError(f"its column {shown(name)} has bytes that are no text in UTF-8")
    return row[name]


def no_column(row: Mapping[str, Any], name: str) -> str:
    """Say that a row lacks a column, and which ones it has."""
    columns = ", ".join(map(shown, [*row][:_MOST_COLUMNS])) or "none"
    return f"it has no column {shown(name)}: its columns are {columns}"


def as_text(value: Any) -> str:
    """Return a value of a column as it stands in a prompt: a text as it is, other values as JSON."""
    if isinstance(value, str):
        return value
    try:
        return dump(value)
    except JSONError:  # a date and the like, of Parquet
        return str(value)
