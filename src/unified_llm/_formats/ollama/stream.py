"""Streamed answers: lines in, chunks out; a stream is complete only after the line with ``done``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.finish_reasons import is_answer, read_finish_reason
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_object, text_or_none
from unified_llm._formats.ollama.errors import read_error
from unified_llm._formats.ollama.response import (
    keep_state,
    read_calls,
    read_message,
    read_text,
    read_usage,
)
from unified_llm._formats.response_fields import read_logprobs
from unified_llm._lib.bounded_json import JSONError, parse_lenient
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.responses import LLMChunk


class ChatStream:
    """Decoder of one stream."""

    __slots__ = ("_calls", "_ended", "_has_content", "_has_thinking", "_target", "_thinking")

    def __init__(self, target: Target) -> None:
        self._target = target
        self._thinking: list[str] = []
        self._calls = Identifiers()
        self._has_content = self._has_thinking = False
        self._ended = False

    @property
    def kept(self) -> int:
        """Nothing: what is kept was emitted."""
        return 0

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Return the chunks of this line; ``Done`` at the last; nothing after that or after a failure."""
        if self._ended:
            return ()
        try:
            line = parse_lenient(event.data, keep_halves=True)
        except JSONError:
            line = None
        if not is_object(line):
            return self._fail(Failure("malformed"))
        if line.get("error"):
            return self._fail(read_error(line, self._target))
        chunks = self._read(line)
        return [*chunks, self._end_message(line)] if line.get("done") is True else chunks

    def finish(self) -> Done | Failure:
        """Return a failure: the bytes ended without a line with ``done``."""
        return Failure("truncated")

    def _read(self, line: dict[str, Any]) -> list[LLMChunk | Done | Failure]:
        """Read the chunks of a line. Each call is in one line, but an answer's calls may be in several lines."""
        message = read_message(line) or {}
        content, thinking = read_text(message)
        logprobs = read_logprobs(line.get("logprobs"))
        chunks: list[LLMChunk | Done | Failure] = []
        if content or thinking or logprobs:
            self._thinking.append(thinking)
            chunks.append(LLMChunk(content=content, reasoning=thinking, logprobs=logprobs))
        first = len(self._calls)
        calls = tuple(
            ToolCallChunk(number, call.id, call.name, call.raw_arguments)
            for number, call in enumerate(read_calls(message, line, self._calls), first)
        )
        if calls:
            chunks.append(LLMChunk(tool_calls=calls))
        if not self._has_content:
            self._has_content = bool(calls) or is_answer(content, thinking or self._has_thinking)
            self._has_thinking = self._has_thinking or bool(thinking)
        return chunks

    def _fail(self, failure: Failure) -> Sequence[Failure]:
        self._ended = True
        return (failure,)

    def _end_message(self, line: dict[str, Any]) -> Done | Failure:
        self._ended = True
        has_calls = len(self._calls) > 0
        reason = read_finish_reason(
            line.get("done_reason"), self._target, has_content=self._has_content, has_calls=has_calls
        )
        if isinstance(reason, Failure):
            return reason
        last = LLMChunk(
            finish_reason=reason,
            usage=read_usage(line),
            provider_state=keep_state("".join(self._thinking), self._target, has_calls=has_calls),
            model=text_or_none(line.get("model")) or self._target.model,
            provider=self._target.provider,
        )
        return Done(last)
