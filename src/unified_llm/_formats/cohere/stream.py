"""Streamed answers: typed events in, chunks out; a stream is complete only after ``message-end``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.cohere.errors import read_broken_off, read_error
from unified_llm._formats.cohere.response import (
    keep_state,
    read_citation,
    read_content_block,
    read_logprobs,
    read_usage,
)
from unified_llm._formats.finish_reasons import read_finish_reason
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import brief, is_object, json_text, object_or_empty, small_int, text_or_none
from unified_llm._lib.bounded_json import JSONError, parse_lenient
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.responses import LLMChunk

_ENTRY_SIZE: Final = 256  # bytes that an entry of a dictionary takes, roughly


class ChatStream:
    """Decoder of one stream."""

    __slots__ = ("_calls", "_ended", "_id", "_identifiers", "_length", "_plan", "_starts", "_target", "_thinking")

    def __init__(self, target: Target) -> None:
        self._target = target
        self._id: str | None = None
        self._starts: dict[int, int] = {}  # index of a block → where its text begins in the whole text
        self._length = 0
        self._thinking: list[str] = []
        self._plan: list[str] = []
        self._calls: dict[int, int] = {}  # the provider's index → the call's number
        self._identifiers = Identifiers()
        self._ended = False

    @property
    def kept(self) -> int:
        """Bytes of what is kept of blocks and calls, besides their texts."""
        return _ENTRY_SIZE * (len(self._starts) + len(self._calls))

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Return the chunks of this event; ``Done`` at ``message-end``; nothing after that or after a failure."""
        text = event.data.strip()
        if self._ended or not text or text == "[DONE]":
            return ()
        try:
            data = parse_lenient(text, keep_halves=True)
        except JSONError:
            data = None
        if not is_object(data):
            return self._fail(Failure("malformed"))
        return self._read(data)

    def finish(self) -> Done | Failure:
        """Return a failure: the bytes ended without ``message-end``."""
        return Failure("truncated")

    def _read(self, data: dict[str, Any]) -> Sequence[LLMChunk | Done | Failure]:
        delta = object_or_empty(data.get("delta"))
        message = object_or_empty(delta.get("message"))
        match data.get("type"):
            case "message-start":
                self._id = text_or_none(data.get("id"))
            case "content-start" | "content-delta":
                return self._read_content(data, message)
            case "tool-plan-delta":
                plan = text_or_none(message.get("tool_plan")) or ""
                self._plan.append(plan)
                return [LLMChunk(reasoning=plan)] if plan else ()
            case "tool-call-start" | "tool-call-delta":
                return self._read_call(data, object_or_empty(message.get("tool_calls")))
            case "citation-start":
                return self._read_citation(message.get("citations"))
            case "message-end":
                return (self._end_message(delta),)
            case None:  # an error in the shape of an error body
                return self._fail(read_error(data, self._target))
            case _:
                pass
        return ()

    def _read_content(self, data: dict[str, Any], message: dict[str, Any]) -> Sequence[LLMChunk]:
        text, thinking = read_content_block(message.get("content"))
        logprobs = read_logprobs([data.get("logprobs")])
        if not (text or thinking or logprobs):
            return ()
        self._starts.setdefault(_get_index(data, 0), self._length)
        self._length += len(text)
        if thinking:
            self._thinking.append(thinking)
        return [LLMChunk(content=text, reasoning=thinking, logprobs=logprobs)]

    def _read_call(self, data: dict[str, Any], call: dict[str, Any]) -> Sequence[LLMChunk]:
        function = object_or_empty(call.get("function"))
        arguments = json_text(function.get("arguments"))
        if data["type"] == "tool-call-start":
            number = len(self._identifiers)
            self._calls[_get_index(data, number)] = number
            identifier, name = self._identifiers.take(call.get("id")), text_or_none(function.get("name")) or ""
            return [LLMChunk(tool_calls=(ToolCallChunk(number, identifier, name, arguments),))]
        known = self._calls.get(_get_index(data, -1), len(self._identifiers) - 1)
        if known < 0 or not arguments:
            return ()
        return [LLMChunk(tool_calls=(ToolCallChunk(known, arguments=arguments),))]

    def _read_citation(self, citation: object) -> Sequence[LLMChunk]:
        index = object_or_empty(citation).get("content_index")
        before = self._starts.get(index, self._length) if isinstance(index, int) else 0
        citations = tuple(read_citation(citation, before))
        return [LLMChunk(citations=citations)] if citations else ()

    def _fail(self, failure: Failure) -> Sequence[Failure]:
        self._ended = True
        return (failure,)

    def _end_message(self, delta: dict[str, Any]) -> Done | Failure:
        self._ended = True
        thinking, plan, has_calls = "".join(self._thinking), "".join(self._plan), bool(self._calls)
        has_content = bool(has_calls or self._length)
        reason = read_finish_reason(
            delta.get("finish_reason"),
            self._target,
            has_content=has_content,
            has_calls=has_calls,
            detail=brief(delta.get("error")),
        )
        if isinstance(reason, Failure):
            return read_broken_off(reason, delta.get("error"), self._target)
        last = LLMChunk(
            finish_reason=reason,
            usage=read_usage(delta.get("usage")),
            response_id=self._id,
            provider_state=keep_state(thinking, plan, self._target, has_calls=has_calls),
            model=self._target.model,
            provider=self._target.provider,
        )
        return Done(last)


def _get_index(data: dict[str, Any], default: int) -> int:
    index = small_int(data.get("index"))
    return default if index is None else index
