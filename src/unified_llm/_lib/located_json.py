"""JSON with the line of each value, which the standard library does not tell."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from typing import Any, Final

from unified_llm._lib.located import DocumentError, Located, Path, check_count, twice

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_LINE_END: Final = re.compile("\n")
_SCALARS: Final = json.JSONDecoder()


def parse_json(text: str) -> Located:
    """Parse a document.

    Raises:
        DocumentError: It is no JSON, has a key twice, or nests too deep.
    """
    reader = _Reader(text)
    return Located(reader.read_document(), reader.lines)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._line_ends = [match.start() for match in _LINE_END.finditer(text)]
        self._position = 0
        self.lines: dict[Path, int] = {}

    def read_document(self) -> Any:
        self._skip_blanks()
        try:
            value = self._read_value(())
        except RecursionError:
            value = _Reader  # raised below, where the context has no values
        if value is _Reader:
            raise DocumentError("it nests too deep")
        if self._next():
            raise self._error("there is more after the end of the document")
        return value

    def _read_value(self, path: Path) -> Any:
        self.lines.setdefault(path, self._line())
        check_count(len(self.lines), self._line())
        match self._text[self._position : self._position + 1]:
            case "{":
                return self._read_object(path)
            case "[":
                return self._read_array(path)
            case "":
                raise self._error("the document ends where a value is missing")
            case "#" | "/":
                raise self._error("JSON has no comments: remove it, or write YAML")
            case _:
                return self._read_scalar()

    def _read_scalar(self) -> Any:
        problem = "this is no JSON value: texts stand in double quotes"
        try:
            value, self._position = _SCALARS.raw_decode(self._text, self._position)
        except json.JSONDecodeError as wrong:
            if self._text[self._position] == '"':
                problem = "a text has no end, or a line break, a tab or an unknown escape in it"
            del wrong
        except ValueError:
            problem = "a number has too many digits"
        else:
            return value
        raise self._error(problem)

    def _read_object(self, path: Path) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        self._position += 1
        while self._next() != "}":
            if self._next() != '"':
                raise self._error("a name in double quotes is missing here (is there a comma too many before?)")
            line, name = self._line(), self._read_scalar()
            if name in fields:
                raise twice(name, self.lines[*path, name], line)
            self.lines[*path, name] = line
            if self._next() != ":":
                raise self._error("a colon is missing after the name")
            self._position += 1
            self._skip_blanks()
            fields[name] = self._read_value((*path, name))
            self._expect_comma_or("}")
        self._position += 1
        return fields

    def _read_array(self, path: Path) -> list[Any]:
        items: list[Any] = []
        self._position += 1
        while self._next() != "]":
            items.append(self._read_value((*path, len(items))))
            self._expect_comma_or("]")
        self._position += 1
        return items

    def _expect_comma_or(self, end: str) -> None:
        following = self._next()
        if following == ",":
            self._position += 1
            if self._next() == end:
                raise self._error(f"a comma stands before {end}: remove it")
        elif following != end:
            raise self._error(f"a comma or {end} is missing before this")

    def _next(self) -> str:
        self._skip_blanks()
        return self._text[self._position : self._position + 1]

    def _skip_blanks(self) -> None:
        if blank := _BLANK.match(self._text, self._position):
            self._position = blank.end()

    def _line(self) -> int:
        return bisect_left(self._line_ends, self._position) + 1

    def _error(self, message: str) -> DocumentError:
        return DocumentError(message, self._line())
