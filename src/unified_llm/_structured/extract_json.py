"""Extract JSON from a model's text: without the text before it, the code fence around it and the text after it.

In a whole text, ``find_json`` returns the first JSON that passes a check. In a stream, ``JSONExtractor`` emits the
first text that looks like JSON of the right type, since it is passed on chunk by chunk:

               start of an object or array        its closing bracket
    SEARCHING -----------------------------> INSIDE ----------------> DONE
        |                                                              ^
        +--------------------------------------------------------------+
          may_be_scalar, and the stream does not begin with such a start

    SEARCHING   emits nothing; keeps an incomplete start ("{" and white space) for the next chunk
    INSIDE      emits the text; counts brackets outside of strings
    DONE        emits nothing
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final, TypeAlias

from unified_llm._lib.bounded_json import JSONError, dump, parse
from unified_llm._lib.json_end import JSONEnd
from unified_llm._lib.json_schema import find_mismatch, json_types
from unified_llm._structured.wrapped_json import other_readings

# Starts of JSON objects and arrays. Other text in brackets does not match: the set {a, b}, the footnote [note].
_STARTS: Final = {"{": r'\{\s*["}]', "[": r'\[\s*(?:["{\[\]\d-]|true|false|null)'}
_CODE_FENCE: Final = re.compile(r"```\w*\s(.*?)```", re.DOTALL)
_MAX_CANDIDATES: Final = 16
_MAX_PENDING: Final = 256  # characters kept of an incomplete start with white space


Check: TypeAlias = Callable[[str], str | None]
"""Returns what is wrong with a JSON text, or None."""


def find_json(text: str, schema: Mapping[str, Any], check: Check | None = None) -> str:
    """Return the JSON in a whole text: the first that passes, else the first at all, else the text itself.

    Where none passes as it stands, other readings are tried: see ``wrapped_json``.

    Args:
        text: The text.
        schema: A JSON schema, which says what the JSON begins with.
        check: Decides what passes; None for whatever conforms to the schema.
    """
    check = check or partial(check_json, schema=schema)
    rejected: list[str] = []
    for candidate in islice(_candidates(text, schema), _MAX_CANDIDATES):
        if check(candidate) is None:
            return candidate
        rejected.append(candidate)
    string = [text.strip()] if text.lstrip().startswith('"') else []
    for candidate in islice(other_readings([*rejected, *string], schema), _MAX_CANDIDATES):
        if check(candidate) is None:
            return candidate
    return rejected[0] if rejected else text


def check_json(text: str, schema: Mapping[str, Any]) -> str | None:
    """Check that a text is JSON that conforms to the schema; return the problem, or None if there is none."""
    try:
        return find_mismatch(parse(text), schema)
    except JSONError:
        return "it is not JSON"


def _candidates(text: str, schema: Mapping[str, Any]) -> Iterator[str]:
    scanner = JSONExtractor(schema)
    if scanner.may_be_scalar:
        if scanner.start_pattern.match(text.lstrip()) is None:
            yield from (candidate.strip() for candidate in _CODE_FENCE.findall(text))
        yield text.strip()
    elif _is_json(bare := _without_fence(text.strip())):  # of another type than the schema's: the check may accept it
        yield bare
    position = 0
    while match := scanner.start_pattern.search(text, position):
        extractor = JSONExtractor(schema)
        candidate = extractor.feed_json(text[match.start() :])
        yield candidate
        if not extractor.done:  # incomplete; JSON nested inside of it is not the answer
            return
        position = match.start() + len(extractor.fed)


def _without_fence(text: str) -> str:
    """Return the content of a text that is one code fence; else the text."""
    fence = _CODE_FENCE.fullmatch(text)
    return text if fence is None else fence[1].strip()


def _is_json(text: str) -> bool:
    """Return whether a whole text is JSON; one that begins with an object is left to the search, which is faster."""
    if not text or text[0] == "{":
        return False
    try:
        parse(text)
    except JSONError:
        return False
    return True


class JSONExtractor:
    """Extracts the JSON from a stream, chunk by chunk.

    Attributes:
        done: Nothing more is emitted: the JSON has ended, or its start cannot be recognised.
        may_be_scalar: The JSON may also be a string, number, boolean or null, whose start cannot be recognised. Unless
            the stream begins with an object or array, nothing is emitted; use ``find_json`` at the end of the stream.
        start_pattern: Matches the start of an object or array, whichever the schema allows.
        fed: What belongs to the JSON in the last text, before control characters in it were escaped.
        has_escaped: Some were.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        kinds = json_types(schema)
        openings = ("{" if "object" in kinds else "") + ("[" if "array" in kinds else "")
        self.may_be_scalar = bool(kinds - {"object", "array"})
        self.start_pattern = re.compile("|".join(_STARTS[bracket] for bracket in openings) or r"(?!)")
        self._partial_start = re.compile(rf"[{re.escape(openings)}]\s*\Z" if openings else r"(?!)")
        self.done = False
        self.fed, self.has_escaped = "", False
        self._pending = ""
        self._end = JSONEnd()

    def feed(self, text: str) -> str:
        """Return the part of this chunk that belongs to the JSON, after the start kept from previous chunks."""
        self.has_escaped = False
        if self.done:
            return ""
        if self._end.started:
            return self.feed_json(text)
        text = self._pending + text
        if self.may_be_scalar:
            text = text.lstrip()
            match = self.start_pattern.match(text)
            self.done = match is None and bool(text) and self._partial_start.match(text) is None
        else:
            match = self.start_pattern.search(text)
        if match:
            self._pending = ""
            return self.feed_json(text[match.start() :])
        partial = self._partial_start.search(text)
        self._pending = partial.group()[:_MAX_PENDING] if partial else ""
        return ""

    def feed_json(self, text: str) -> str:
        """Return the part that belongs to the JSON of a text that begins with the JSON or continues it.

        Control characters inside strings (models write line feeds there) are escaped, as JSON requires.
        """
        self.fed = text[: self._end.feed(text)]
        self.done, controls = self._end.found, self._end.controls
        self.has_escaped = bool(controls)
        if not controls:
            return self.fed
        parts, position = list[str](), 0
        for control in controls:
            parts += (text[position:control], dump(text[control])[1:-1])
            position = control + 1
        return "".join((*parts, self.fed[position:]))
