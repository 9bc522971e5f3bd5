"""Finds the end of a JSON object or array in a text that comes in chunks, without parsing it."""

from __future__ import annotations

import re
from typing import Final

_CLOSING_BRACKET: Final = {"{": "}", "[": "]"}
_OUTSIDE: Final = re.compile(r'["{}\[\]]')
_IN_STRING: Final = re.compile(r'["\\\x00-\x1f]')


class JSONEnd:
    """Counts brackets outside of strings, from the opening bracket to the one that closes it.

    Each chunk takes time in proportion to its length.

    Attributes:
        found: The JSON has ended.
        controls: Positions of control characters inside strings of the last chunk, which strict JSON excludes.
    """

    __slots__ = ("_closing", "_depth", "_escaped", "_in_string", "_opening", "controls", "found")

    def __init__(self) -> None:
        self._opening = self._closing = ""
        self._depth = 0
        self._in_string = self._escaped = False
        self.found = False
        self.controls: list[int] = []

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
        self.controls = []
        if self._escaped and text:
            self._escaped, position = False, 1
        while match := (_IN_STRING if self._in_string else _OUTSIDE).search(text, position):
            delimiter, position = match.group(), match.end()
            if delimiter == '"':
                self._in_string = not self._in_string
            elif delimiter == "\\":
                position += 1
                self._escaped = position > len(text)
            elif self._in_string:
                self.controls.append(match.start())
            elif delimiter == self._opening:
                self._depth += 1
            elif delimiter == self._closing:
                self._depth -= 1
                if not self._depth:
                    self.found = True
                    return position
        return len(text)
