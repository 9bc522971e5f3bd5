"""Finds the JSON in what a model says: without the words before it, the fence around it and what follows.

In a stream it can only be the first thing that looks like JSON of the right shape, since it is handed on as it comes.
In a whole text it is the first that conforms to the schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm._lib.json_schema import mismatch, shapes

_CLOSING: Final = {"{": "}", "[": "]"}
_MARKS: Final = re.compile(r'["\\{}\[\]]')
# What JSON begins with, and nothing else does: {a, b} is a set, and [note] a footnote.
_BEGINNINGS: Final = {"{": r'\{\s*["}]', "[": r'\[\s*(?:["{\[\]\d-]|true|false|null)'}
_FENCED: Final = re.compile(r"```\w*\s(.*?)```", re.DOTALL)
# So many candidates are looked at, and so much white space is kept after what may be a beginning.
_CANDIDATES: Final = 16
_BLANK: Final = 256


def spot(text: str, schema: Mapping[str, Any]) -> str:
    """The JSON in a whole text: the first that conforms, or the first at all, or the text where there is none."""
    first: str | None = None
    for each in islice(_candidates(text, schema), _CANDIDATES):
        if problem(each, schema) is None:
            return each
        first = each if first is None else first
    return text if first is None else first


def problem(text: str, schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a text that should be JSON of this schema; None if nothing is."""
    try:
        return mismatch(parse(text), schema)
    except JSONError:
        return "it is no JSON"


def _candidates(text: str, schema: Mapping[str, Any]) -> Iterator[str]:
    spotter = JSONExtractor(schema)
    if spotter.may_be_plain:
        if spotter.beginning.match(text.lstrip()) is None:
            yield from (each.strip() for each in _FENCED.findall(text))
        yield text.strip()
    position = 0
    while found := spotter.beginning.search(text, position):
        one = JSONExtractor(schema)
        candidate = one.follow(text[found.start() :])
        yield candidate
        if not one.over:  # what is inside of it is no answer
            return
        position = found.start() + len(candidate)


class JSONExtractor:
    """Finds the JSON in a stream, piece by piece.

    Attributes:
        over: Nothing more is found in this stream: the JSON has ended, or it cannot be told where it begins.
        may_be_plain: It may be a number or a text too, which has no beginning to look for: unless the very first thing
            that comes looks like JSON, nothing is found before everything has been said. Then see ``spot``.
        beginning: What it begins with, if it is an object or a list.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Nothing has been said yet."""
        kinds = shapes(schema)
        openings = ("{" if "object" in kinds else "") + ("[" if "array" in kinds else "")
        self.may_be_plain = bool(kinds - {"object", "array"})
        self.beginning = re.compile("|".join(_BEGINNINGS[each] for each in openings) or r"(?!)")
        self._held_back = re.compile(rf"[{re.escape(openings)}]\s*\Z" if openings else r"(?!)")
        self.over = False
        self._held = self._opening = ""
        self._depth = 0
        self._in_text = self._escaped = False

    def take(self, text: str) -> str:
        """The part of this piece that belongs to the JSON, with what was held back of those before it."""
        if self.over:
            return ""
        if self._depth:
            return self.follow(text)
        text = self._held + text
        if self.may_be_plain:
            text = text.lstrip()
            found = self.beginning.match(text)
            self.over = found is None and bool(text) and self._held_back.match(text) is None
        else:
            found = self.beginning.search(text)
        if found:
            self._held = ""
            return self.follow(text[found.start() :])
        held = self._held_back.search(text)
        self._held = held.group()[:_BLANK] if held else ""
        return ""

    def follow(self, text: str) -> str:
        """As ``take``, where the text begins with the JSON, or goes on with it."""
        self._opening = self._opening or text[0]
        return text[: self._end(text)]

    def _end(self, text: str) -> int:
        """Where the JSON ends in this piece, which may be at its end."""
        opening, closing, position = self._opening, _CLOSING[self._opening], 0
        if self._escaped and text:
            self._escaped, position = False, 1
        while found := _MARKS.search(text, position):
            mark, position = found.group(), found.end()
            if mark == "\\" and self._in_text:
                position += 1
                self._escaped = position > len(text)
            elif mark == '"':
                self._in_text = not self._in_text
            elif not self._in_text and mark == opening:
                self._depth += 1
            elif not self._in_text and mark == closing:
                self._depth -= 1
                if not self._depth:
                    self.over = True
                    return position
        return len(text)
