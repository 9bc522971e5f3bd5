"""Calls of tools in what a model writes, piece by piece.

    START ──── may still be calls and nothing else: all of it is held ──────────────┐
      │ something else                                                              │
      v                                                                             v
    TEXT ───── passed on, except for what may be the beginning of the start tag   finish(): the calls that were held, or
      │ the start tag                                                             the text, if they are none
      v                                                                             ^
    CALLS ──── held up to the end ──────────────────────────────────────────────────┘
      │ something else after whole calls
      v
    TEXT

What was held and is no call of an offered tool is text. Of a response that was cut off, the calls that are whole are
calls, and the rest is text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final, Literal

from unified_llm._backends.mlx.tool_formats import ToolFormat
from unified_llm._formats.call_scanner import MAX_TEXT, CallScanner, FoundCall
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import json_text, text_or_none
from unified_llm._formats.text_tool_calls import offered_name, read_calls
from unified_llm._lib.json_schema import find_mismatch
from unified_llm.types.messages import Tool, ToolCall
from unified_llm.types.requests import LLMRequest

_MOST_HELD: Final = 4 * MAX_TEXT  # characters of calls that a parser reads


class CallReader:
    """Finds the calls in the text of one response.

    Args:
        tools: The offered tools.
        tool_format: How the model writes calls.
        request: The request: what it quotes is no call. None where the response has to be calls.
        from_start: Whether calls may be written without the start tag, where they are the whole response.
    """

    def __init__(
        self, tools: Sequence[Tool], tool_format: ToolFormat, request: LLMRequest | None, *, from_start: bool = True
    ) -> None:
        self._tools, self._format, self._request = tools, tool_format, request
        self._state: Literal["start", "text", "calls"] = "start" if from_start else "text"
        self._scanner = CallScanner()
        self._held = ""
        self._found: list[ToolCall] = []  # so far
        self._identifiers = Identifiers()

    @property
    def holds(self) -> bool:
        """Return whether text is held back."""
        return bool(self._held)

    def feed(self, text: str) -> str:
        """Return the text that is certainly no call."""
        self._held += text
        if self._state == "start":
            if self._scanner.feed(text):
                return ""
            self._state = "text"
        return self._hold(text) if self._state == "calls" else self._pass_on()

    def _pass_on(self) -> str:
        """Return the text up to what may be the beginning of calls."""
        start = self._format.start
        before, tag, after = self._held.partition(start) if start else (self._held, "", "")
        if tag:
            self._state, self._held, self._scanner = "calls", tag + after, CallScanner()
            return before + self._hold(self._held)
        kept = _beginning_at_end(before, start)
        self._held = before[len(before) - kept :]
        return before[: len(before) - kept]

    def _hold(self, text: str) -> str:
        """Hold the text of calls; return what follows whole calls, or all of it once it cannot be any."""
        is_possible = self._format.parser is not None or self._scanner.feed(text)
        if is_possible and len(self._held) <= _MOST_HELD:
            return ""
        held, self._held, self._state = self._held, "", "text"
        if self._format.parser is not None:
            return held
        calls, end = self._read_first(held)
        self._found += calls
        if not calls:
            return held
        self._held = held[end:]
        return self._pass_on()

    def finish(self, *, is_cut: bool) -> tuple[str, list[ToolCall]]:
        """Return the text and the calls that were held.

        Args:
            is_cut: The response ended at its limit of tokens.
        """
        text = ""
        while self._held:
            held, self._held = self._held, ""
            if self._state == "calls" and self._format.parser is not None:
                calls, end = self._parse(held, self._format.parser)
            elif calls := self._read(held, self._scanner.finish()):
                end = len(held)
            else:
                calls, end = self._read_first(held) if self._state == "calls" or is_cut else ([], 0)
            self._found += calls
            if not calls:
                return text + held, self._found
            self._state, self._held = "text", held[end:]
            text += self._pass_on()
        return text, self._found

    def _read_first(self, held: str) -> tuple[list[ToolCall], int]:
        """Read the whole calls with which the held text begins; return them, and where the text after them begins."""
        calls, end = list[ToolCall](), 0
        for part in self._scanner.found:
            if not part.end or not (read := self._read(held, [part])):
                break
            calls += read
            end = part.end
        ends = _ends_of(self._format).match(held, end) if calls else None
        return calls, ends.end() if ends is not None else 0

    def _read(self, held: str, parts: Sequence[FoundCall]) -> list[ToolCall]:
        calls = read_calls(held, parts, self._tools, self._request, identifiers=self._identifiers)
        return [ToolCall(call.id, call.name, call.arguments, call.raw_arguments) for call in calls]

    def _parse(self, held: str, parser: str) -> tuple[list[ToolCall], int]:
        """Read calls by mlx-lm's parser, block by block; return them, and where the last block ends."""
        parse: Any = import_module(f"mlx_lm.tool_parsers.{parser}").parse_tool_call
        offered = [{"function": {"name": tool.name, "parameters": tool.parameters}} for tool in self._tools]
        by_name = {tool.name: tool for tool in self._tools}
        calls, position = list[ToolCall](), 0
        while (start := held.find(self._format.start, position)) >= 0:
            begin = start + len(self._format.start)
            if (end := held.find(self._format.end, begin)) < 0:
                break
            try:
                read: Any = parse(held[begin:end], offered)
            except Exception:  # noqa: BLE001 - of many kinds, by what the model wrote
                break
            for one in read if isinstance(read, list) else [read]:
                tool = by_name.get(offered_name(str(one.get("name")), by_name))
                arguments = one.get("arguments")
                if tool is None or not isinstance(arguments, dict) or find_mismatch(arguments, tool.parameters):
                    return calls, position
                identifier = self._identifiers.take(text_or_none(one.get("id")))
                calls.append(ToolCall(identifier, tool.name, arguments, json_text(arguments)))
            position = end + len(self._format.end)
        return calls, position


def _beginning_at_end(text: str, tag: str) -> int:
    """Return how many characters at the end of the text may be the beginning of the tag."""
    return next((count for count in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-count:])), 0)


@cache
def _ends_of(tool_format: ToolFormat) -> re.Pattern[str]:
    """Return a pattern of what stands behind the last whole call: brackets, white space and closing tags."""
    texts = {tool_format.end, *(tool_format.wrapping.tags if tool_format.wrapping is not None else ())}
    texts -= {"", tool_format.start}
    return re.compile("|".join([r"(?:[}\]\s]|</[^<>\s]{1,32}>", *map(re.escape, sorted(texts))]) + ")*")
