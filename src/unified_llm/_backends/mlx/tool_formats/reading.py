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
calls, and the rest is text. White space before calls with which a response ends is part of their format: it is no text,
or the next prompt, which the template writes, would differ from what the model wrote.
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
from unified_llm._formats.text_tool_calls import is_quoted, offered_name, read_calls
from unified_llm._lib.json_schema import find_mismatch
from unified_llm.types.messages import Tool, ToolCall
from unified_llm.types.requests import LLMRequest

_MOST_HELD: Final = 4 * MAX_TEXT  # characters of calls that a parser reads
_MOST_BLANKS: Final = 32  # characters of white space that are held, since calls may follow them


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
        self._gap = ""  # white space before calls, which is text if more text follows them
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
        before, tag, _ = self._held.partition(start) if start else (self._held, "", "")
        shown = before if tag else before[: len(before) - _beginning_at_end(before, start)]
        if start:
            shown = shown[: max(len(shown.rstrip()), len(shown) - _MOST_BLANKS)]
        self._held = self._held[len(shown) :]
        shown = self._after_gap(shown)
        if tag:
            self._state, self._scanner = "calls", CallScanner()
            return shown + self._hold(self._held)
        return shown

    def _take(self, calls: Sequence[ToolCall], rest: str, held: str) -> str:
        """Take the calls of the held text; return the text after them up to what may be the beginning of calls."""
        self._found += calls
        self._gap += held[: len(held) - len(held.lstrip())]
        self._state, self._held = "text", rest
        return self._pass_on()

    def _after_gap(self, text: str) -> str:
        """Return a text behind the white space before the calls that it follows."""
        if not text:
            return ""
        gap, self._gap = self._gap, ""
        return gap + text

    def _hold(self, text: str) -> str:
        """Hold the text of calls; return what follows whole calls, or all of it once it cannot be any."""
        is_possible = self._format.parser is not None or self._scanner.feed(text)
        if is_possible and len(self._held) <= _MOST_HELD:
            return ""
        held, self._held, self._state = self._held, "", "text"
        if self._format.parser is not None:
            return self._after_gap(held)
        calls, end = self._read_first(held)
        return self._take(calls, held[end:], held) if calls else self._after_gap(held)

    def finish(self, *, is_cut: bool) -> tuple[str, list[ToolCall]]:
        """Return the text and the calls that were held.

        Args:
            is_cut: The response ended at its limit of tokens.
        """
        text = ""
        while self._held:
            held, self._held = self._held, ""
            calls, end = self._read_held(held, is_cut=is_cut) if self._state != "text" else ([], 0)
            text += self._take(calls, held[end:], held) if calls else self._after_gap(held)
        return text, self._found

    def _read_held(self, held: str, *, is_cut: bool) -> tuple[list[ToolCall], int]:
        """Read the calls of the held text at the end of the response; return them, and where the text after begins."""
        if self._state == "calls" and self._format.parser is not None:
            return self._parse(held, self._format.parser)
        if calls := self._read(held, self._scanner.finish()):
            return calls, len(held)
        return self._read_first(held) if self._state == "calls" or is_cut else ([], 0)

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
        """Read the blocks of calls that follow each other by mlx-lm's parser; return the calls, and where they end."""
        parse: Any = import_module(f"mlx_lm.tool_parsers.{parser}").parse_tool_call
        calls, position = list[ToolCall](), 0
        while (start := held.find(self._format.start, position)) >= 0:
            begin = start + len(self._format.start)
            end = held.find(self._format.end, begin)
            if end < 0 or (calls and held[position:start].strip()):
                break
            read = self._parse_block(held[begin:end], parse)
            if not read or (self._request is not None and is_quoted([held[start:end]], self._request)):
                break
            calls += [
                ToolCall(self._identifiers.take(identifier), name, arguments, json_text(arguments))
                for identifier, name, arguments in read
            ]
            position = end + len(self._format.end)
        return calls, position

    def _parse_block(self, block: str, parse: Any) -> list[tuple[str | None, str, dict[str, Any]]]:
        """Return the calls of a block: identifiers, names and arguments; none if one of them fits no offered tool."""
        by_name = {tool.name: tool for tool in self._tools}
        offered = [{"function": {"name": tool.name, "parameters": tool.parameters}} for tool in self._tools]
        if (name := block.strip()) in by_name:  # mlx-lm 0.32 cannot read a call of LongCat's without arguments
            read: Any = {"name": name, "arguments": {}}
        else:
            try:
                read = parse(block, offered)
            except Exception:  # noqa: BLE001 - of many kinds, by what the model wrote
                return []
        calls: list[tuple[str | None, str, dict[str, Any]]] = []
        for one in read if isinstance(read, list) else [read]:
            tool = by_name.get(offered_name(str(one.get("name")), by_name))
            arguments = one.get("arguments")
            if tool is None or not isinstance(arguments, dict) or find_mismatch(arguments, tool.parameters):
                return []
            calls.append((text_or_none(one.get("id")), tool.name, arguments))
        return calls


def _beginning_at_end(text: str, tag: str) -> int:
    """Return how many characters at the end of the text may be the beginning of the tag."""
    return next((count for count in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-count:])), 0)


@cache
def _ends_of(tool_format: ToolFormat) -> re.Pattern[str]:
    """Return a pattern of what stands behind the last whole call: brackets, white space and closing texts."""
    texts = {tool_format.end}
    if (wrapping := tool_format.wrapping) is not None:
        texts |= {*wrapping.tags, wrapping.after.strip(), wrapping.separator.strip(), wrapping.last.strip()}
    texts -= {"", tool_format.start}
    ends = "|".join([r"[}\]\s]|</[^<>\s]{1,32}>", *map(re.escape, sorted(texts, key=len, reverse=True))])
    next_call = f"(?!{re.escape(tool_format.start)})" if tool_format.start else ""
    return re.compile(f"(?:{next_call}(?:{ends}))*")
