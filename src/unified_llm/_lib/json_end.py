"""Finds the end of a JSON object or array in a text that comes in chunks, without parsing it."""

from __future__ import annotations

import re
from typing import Final

_CLOSING_BRACKET: Final = {"{": "}", "[": "]"}
_DELIMITERS: Final = re.compile(r'["\\{}\[\]]')


class JSONEnd:
    """Counts brackets outside of strings, from the opening bracket to the one that closes it.

    Each chunk takes time in proportion to its length. Attribute ``found``: the JSON has ended.
    """

    __slots__ = ("_closing", "_depth", "_escaped", "_in_string", "_opening", "found")

    def __init__(self) -> None:
        self._opening = self._closing = ""
        self._depth = 0
        self._in_string = self._escaped = False
        self.found = False

    @property
    def started(self) -> bool:
        """Return whether a chunk was read."""
        return bool(self._opening)

    def feed(self, text: str) -> int:
        """Return the position in this chunk where the JSON ends, or the length of the chunk.

        Args:
            text: It begins with the opening bracket, or continues the chunks before it.
        """
        if not self._opening:
            self._opening, self._closing = text[0], _CLOSING_BRACKET[text[0]]
        position = 0
        if self._escaped and text:
            self._escaped, position = False, 1
        while match := _DELIMITERS.search(text, position):
            delimiter, position = match.group(), match.end()
            if delimiter == "\\" and self._in_string:
                position += 1
                self._escaped = position > len(text)
            elif delimiter == '"':
                self._in_string = not self._in_string
            elif not self._in_string and delimiter == self._opening:
                self._depth += 1
            elif not self._in_string and delimiter == self._closing:
                self._depth -= 1
                if not self._depth:
                    self.found = True
                    return position
        return len(text)
