"""Joins characters that a stream cuts in two.

Gateways that cut text by UTF-16 units send the halves of an emoji in two events, each a lone surrogate; some send one
half alone. No text with a lone surrogate leaves the HTTP backend: UTF-8 cannot carry it, so the next request with it in
its history, a log or a database would fail.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from unified_llm._lib.bounded_json import scrub
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.responses import Citation, LLMChunk, TokenLogprob

# An escape of a surrogate, half of a pair or not: nothing else in JSON makes a surrogate.
_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_TEXTS: Final = ("content", "reasoning", "refusal")


def may_cut(data: str) -> bool:
    """Return whether the JSON of an event may have half a character; quick where it has none."""
    return "\\u" in data and _ESCAPE.search(data) is not None


class HalfJoiner:
    """Joins halves of characters over the chunks of one stream: of its texts, and of the arguments of each call."""

    __slots__ = ("_halves",)

    def __init__(self) -> None:
        self._halves: dict[str | int, str] = {}  # name of a text, or index of a call → the first half of a character

    @property
    def waiting(self) -> bool:
        """Return whether the second half of a character has not come."""
        return bool(self._halves)

    def join(self, chunk: LLMChunk) -> LLMChunk:
        """Return the chunk with whole characters only; a first half at the end of a text is kept for the next chunk."""
        calls = tuple(
            replace(call, id=scrub(call.id), name=scrub(call.name), arguments=self._join(call.index, call.arguments))
            for call in chunk.tool_calls
        )
        return replace(
            chunk,
            content=self._join("content", chunk.content),
            reasoning=self._join("reasoning", chunk.reasoning),
            refusal=self._join("refusal", chunk.refusal),
            tool_calls=calls,
            citations=tuple(map(_scrub_citation, chunk.citations)),
            logprobs=tuple(map(_scrub_logprob, chunk.logprobs)),
        )

    def flush(self) -> LLMChunk | None:
        """Return U+FFFD for each first half whose second half never came; None if there is none."""
        if not self._halves:
            return None
        content, reasoning, refusal = ("\ufffd" if name in self._halves else "" for name in _TEXTS)
        calls = tuple(ToolCallChunk(index, arguments="\ufffd") for index in self._halves if isinstance(index, int))
        self._halves = {}
        return LLMChunk(content, reasoning, calls, refusal)

    def _join(self, name: str | int, text: str) -> str:
        if not text:
            return text
        text = self._halves.pop(name, "") + text
        if "\ud800" <= text[-1] <= "\udbff":
            self._halves[name] = text[-1]
            text = text[:-1]
        joined: str = scrub(text)
        return joined


def _scrub_citation(citation: Citation) -> Citation:
    return replace(citation, **{name: scrub(getattr(citation, name)) for name in ("url", "title", "text")})


def _scrub_logprob(logprob: TokenLogprob) -> TokenLogprob:
    top = tuple((scrub(token), number) for token, number in logprob.top)
    return TokenLogprob(scrub(logprob.token), logprob.logprob, top)
