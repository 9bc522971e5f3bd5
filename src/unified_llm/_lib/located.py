"""Documents that were parsed with the line of each of their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""

MOST_VALUES: Final = 10_000
"""Values of a document at most: an alias of YAML repeats what it refers to."""
_LONGEST_SHOWN: Final = 40


class DocumentError(ValueError):
    """A text is no document of its format. The message repeats no value of it.

    Attributes:
        line: The line, from 1; None where there is none.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True, repr=False)
class Located:
    """A document: its value, which may hold keys, and the lines of all values.

    Attributes:
        value: Plain data.
        lines: The line of each value, or of its key in a mapping, from 1.
    """

    value: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of a value, or of the innermost one around it that has a line."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def check_count(count: int, line: int) -> None:
    """Check the number of values of a document.

    Raises:
        DocumentError: There are too many.
    """
    if count > MOST_VALUES:
        raise DocumentError(f"it has more than {MOST_VALUES} values", line)


def twice(name: str, first: int, line: int) -> DocumentError:
    """Return the error for a key that a mapping has twice."""
    shown = name if name.isidentifier() and len(name) <= _LONGEST_SHOWN else "a name"
    return DocumentError(f"{shown} is given twice, first on line {first}: remove one of them", line)
