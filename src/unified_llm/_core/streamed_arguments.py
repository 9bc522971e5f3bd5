"""Arguments of tool calls in a stream, in the form in which those of a whole response are read.

Frameworks join the fragments of a call and parse them themselves, most of them more strictly than ``parse_arguments``.
Fragments of an object are passed on as they come; other text (``null``, an object that is JSON text once more) is held
until the stream ends, since only then is it known what it stands for. Half of a surrogate pair that is written as an
escape becomes U+FFFD.
"""

from __future__ import annotations

import operator
import re
from dataclasses import replace
from typing import Final

from unified_llm._lib.bounded_json import strict_arguments
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.responses import LLMChunk

_REPLACEMENT: Final = "\\ufffd"
# An escape of a surrogate, or the beginning of what may be one.
_SUSPECT: Final = re.compile(r"\\(?:u[dD]|u?\Z)")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[^u])", re.DOTALL)
_INCOMPLETE: Final = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")


class StreamedArguments:
    """Reads the fragments of all calls of one stream."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[int, _Arguments] = {}

    def read(self, chunk: LLMChunk) -> LLMChunk | None:
        """Return a chunk that has tool calls with what is passed on of them; None if that is nothing."""
        fragments: list[ToolCallChunk] = []
        for fragment in chunk.tool_calls:
            call = self._calls.get(fragment.index)
            if call is None:
                call = self._calls[fragment.index] = _Arguments()
            text = call.read(fragment.arguments) if fragment.arguments else ""
            if text == fragment.arguments:
                fragments.append(fragment)
            elif text or fragment.id or fragment.name:
                fragments.append(replace(fragment, arguments=text))
        if all(map(operator.is_, fragments, chunk.tool_calls)) and len(fragments) == len(chunk.tool_calls):
            return chunk
        chunk = replace(chunk, tool_calls=tuple(fragments))
        return None if chunk == LLMChunk() else chunk

    def flush(self) -> LLMChunk | None:
        """Return what was held; None if there is nothing."""
        rests = {index: call.flush() for index, call in self._calls.items()}
        self._calls = {}
        calls = tuple(ToolCallChunk(index, arguments=text) for index, text in rests.items() if text)
        return LLMChunk(tool_calls=calls) if calls else None


class _Arguments:
    """The arguments of one call."""

    __slots__ = ("_held", "_is_object", "_tail")

    def __init__(self) -> None:
        self._is_object = False
        self._held: list[str] = []
        self._tail = ""  # the beginning of an escape

    def read(self, text: str) -> str:
        if not self._is_object:
            if not self._held:
                text = text.lstrip()
            if not text.startswith("{") or self._held:
                if text:
                    self._held.append(text)
                return ""
            self._is_object = True
        return self._without_halves(text) if self._tail or _SUSPECT.search(text) else text

    def flush(self) -> str:
        if self._held:
            return strict_arguments("".join(self._held))
        match = _ESCAPE.match(self._tail)
        return self._tail if match is None else _REPLACEMENT + self._tail[match.end() :]

    def _without_halves(self, text: str) -> str:
        text, self._tail = self._tail + text, ""
        parts: list[str] = []
        position = 0
        while (start := text.find("\\", position)) >= 0:
            parts.append(text[position:start])
            match = _ESCAPE.match(text, start)
            if match is None and _INCOMPLETE.match(text, start):
                self._tail = text[start:]
                return "".join(parts)
            position = start + 1 if match is None else match.end()
            code = match[1] if match else None
            if not code or code[0] not in "dD" or code[1] not in "89abcdefABCDEF":
                parts.append(text[start:position])
                continue
            is_first = code[1] in "89abAB"
            if is_first and (position == len(text) or _INCOMPLETE.match(text, position)):
                self._tail = text[start:]
                return "".join(parts)
            second = _ESCAPE.match(text, position) if is_first else None
            if second and second[1] and second[1][0] in "dD" and second[1][1] in "cdefCDEF":
                position = second.end()
                parts.append(text[start:position])
            else:
                parts.append(_REPLACEMENT)
        parts.append(text[position:])
        return "".join(parts)
