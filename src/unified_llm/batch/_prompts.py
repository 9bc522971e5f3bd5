"""Rows with a prompt in a column: the request of each, made by a template.

    {"text": "Guten Tag", "to": "French"}    --template "Translate to {to}: {text}"

A template has names of columns in braces and nothing else: ``{x.y}`` is a column of that very name, no attribute of
one, so that neither a template nor a row can reach anything but the row. A brace is written twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm.batch._lines import CHAT, COMPLETIONS, EMBEDDINGS, BadLine, BatchLine, default_id, shown
from unified_llm.exceptions import ValidationError

_PIECES: Final = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")
_MOST_COLUMNS: Final = 20


class MissingColumnError(ValueError):
    """A row lacks a column; the message names it."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with the names of columns in braces.

    Attributes:
        pieces: Texts, and names of columns as the second of each pair.
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
            if piece in ("{{", "}}"):
                literal += piece[0]
            elif piece in ("{", "}", "{}"):
                raise ValidationError(
                    f"--template has {piece} without the name of a column: write {{name}}, and braces of the text twice"
                )
            elif piece.startswith("{"):
                pieces.append((literal, piece[1:-1]))
                literal = ""
            else:
                literal += piece
        if not pieces:
            raise ValidationError("--template names no column: every prompt would be the same. Write {name} in it")
        return cls((*pieces, (literal, "")))

    def fill(self, row: Mapping[str, Any]) -> str:
        """Return the text for a row.

        Raises:
            MissingColumnError: It lacks a column, or has nothing in it.
        """
        return "".join(text + (_as_text(row, name) if name else "") for text, name in self.pieces)


def _as_text(row: Mapping[str, Any], name: str) -> str:
    value = _value(row, name)
    if isinstance(value, str):
        return value
    try:
        return dump(value)
    except JSONError:  # a date and the like, of Parquet
        return str(value)


def _value(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise MissingColumnError(no_column(row, name))
    if row[name] is None:
        raise MissingColumnError(f"its column {shown(name)} is empty")
    return row[name]


def no_column(row: Mapping[str, Any], name: str) -> str:
    """Say that a row lacks a column, and which ones it has."""
    columns = ", ".join(map(shown, [*row][:_MOST_COLUMNS])) or "none"
    return f"it has no column {shown(name)}: its columns are {columns}"


@dataclass(frozen=True, slots=True)
class PromptReader:
    """Makes a request of a row.

    Attributes:
        column: The column with the prompt, a text or a list of messages; None with a template that names its columns.
        template: The template, or None for the column as it is.
        system: The system prompt, or None.
        url: The endpoint that the prompts are sent to.
    """

    column: str | None = None
    template: Template | None = None
    system: str | None = None
    url: str = CHAT

    @property
    def columns(self) -> list[str]:
        """The columns that it needs."""
        if self.template is None:
            return [] if self.column is None else [self.column]
        return [name for _, name in self.template.pieces if name]

    def read(self, number: int, fields: object) -> BatchLine | BadLine:
        """Make the request of a row.

        Args:
            number: The number of its line, from 1.
            fields: The row.
        """
        if not isinstance(fields, dict):
            return BadLine(number, "it is no JSON object of columns", default_id(number))
        row = cast("dict[str, Any]", fields)
        given = row.get("custom_id")
        custom_id = default_id(number) if given in (None, "") else str(given)
        try:
            prompt = _value(row, self.column or "") if self.template is None else self.template.fill(row)
        except MissingColumnError as error:
            return BadLine(number, str(error), custom_id, row)
        return BatchLine(number, custom_id, self.url, self._body(prompt), row, is_row=True)

    def _body(self, prompt: Any) -> dict[str, Any]:
        if self.url == COMPLETIONS:
            return {"prompt": prompt}
        if self.url == CHAT:
            system = [] if self.system is None else [{"role": "system", "content": self.system}]
            messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": _text(prompt)}]
            return {"messages": [*system, *cast("list[Any]", messages)]}
        body: dict[str, Any] = {"input": prompt if isinstance(prompt, list) else _text(prompt)}
        return body if self.system is None or self.url == EMBEDDINGS else {"instructions": self.system, **body}


def _text(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else _as_text({"": prompt}, "")
