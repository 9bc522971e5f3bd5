"""Streamed answers: typed events in, chunks out, and the end only at ``message-end``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.cohere.errors import read_error
from unified_llm._formats.cohere.response import (
    keep_state,
    read_block,
    read_citation,
    read_end,
    read_logprobs,
    read_usage,
)
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_object, json_text, object_or_empty, text_or_none
from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.responses import LLMChunk


class ChatStream:
    """The decoder of one stream."""

    __slots__ = ("_calls", "_ended", "_id", "_identifiers", "_lengths", "_plan", "_target", "_thoughts")

    def __init__(self, target: Target) -> None:
        """Nothing has been read yet."""
        self._target = target
        self._id: str | None = None
        self._lengths: dict[int, int] = {}  # the block → how much text it has had
        self._thoughts: list[str] = []
        self._plan: list[str] = []
        self._calls: dict[int, int] = {}  # the provider's index → the number of the call
        self._identifiers = Identifiers()
        self._ended = False

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Chunks of this event; ``Done`` at ``message-end``; nothing after that or after a failure."""
        data = event.data.strip()
        if self._ended or not data or data == "[DONE]":
            return ()
        try:
            said = parse(data)
        except JSONError:
            said = None
        if not is_object(said):
            return self._fail(Failure("malformed"))
        return self._read(said)

    def finish(self) -> Done | Failure:
        """Every answer ends with an event that says so."""
        return Failure("truncated")

    def _read(self, said: dict[str, Any]) -> Sequence[LLMChunk | Done | Failure]:
        delta = object_or_empty(said.get("delta"))
        message = object_or_empty(delta.get("message"))
        match said.get("type"):
            case "message-start":
                self._id = text_or_none(said.get("id"))
            case "content-start" | "content-delta":
                return self._read_content(said, message)
            case "tool-plan-delta":
                plan = text_or_none(message.get("tool_plan")) or ""
                self._plan.append(plan)
                return [LLMChunk(reasoning=plan)] if plan else ()
            case "tool-call-start" | "tool-call-delta":
                return self._read_call(said, object_or_empty(message.get("tool_calls")))
            case "citation-start":
                return self._read_citation(message.get("citations"))
            case "message-end":
                return (self._end(delta),)
            case None:  # an error as the body of a refusal has it
                return self._fail(read_error(said))
            case _:
                pass
        return ()

    def _read_content(self, said: dict[str, Any], message: dict[str, Any]) -> Sequence[LLMChunk]:
        text, thought = read_block(message.get("content"))
        logprobs = read_logprobs([said.get("logprobs")])
        if not (text or thought or logprobs):
            return ()
        index = _index(said, 0)
        self._lengths[index] = self._lengths.get(index, 0) + len(text)
        self._thoughts.append(thought)
        return [LLMChunk(content=text, reasoning=thought, logprobs=logprobs)]

    def _read_call(self, said: dict[str, Any], call: dict[str, Any]) -> Sequence[LLMChunk]:
        function = object_or_empty(call.get("function"))
        arguments = json_text(function.get("arguments"))
        if said["type"] == "tool-call-start":
            number = len(self._identifiers)
            self._calls[_index(said, number)] = number
            identifier, name = self._identifiers.take(call.get("id")), text_or_none(function.get("name")) or ""
            return [LLMChunk(tool_calls=(ToolCallChunk(number, identifier, name, arguments),))]
        known = self._calls.get(_index(said, -1), len(self._identifiers) - 1)
        if known < 0 or not arguments:
            return ()
        return [LLMChunk(tool_calls=(ToolCallChunk(known, arguments=arguments),))]

    def _read_citation(self, citation: object) -> Sequence[LLMChunk]:
        index = object_or_empty(citation).get("content_index")
        lengths = self._lengths.items()
        before = sum(length for position, length in lengths if isinstance(index, int) and position < index)
        citations = tuple(read_citation(citation, before))
        return [LLMChunk(citations=citations)] if citations else ()

    def _fail(self, failure: Failure) -> Sequence[Failure]:
        self._ended = True
        return (failure,)

    def _end(self, delta: dict[str, Any]) -> Done | Failure:
        self._ended = True
        thoughts, plan, has_calls = "".join(self._thoughts), "".join(self._plan), bool(self._calls)
        spoke = bool(thoughts or plan or has_calls or any(self._lengths.values()))
        reason = read_end(delta, self._target, spoke=spoke, has_calls=has_calls)
        if isinstance(reason, Failure):
            return reason
        last = LLMChunk(
            finish_reason=reason,
            usage=read_usage(delta.get("usage")),
            response_id=self._id,
            provider_state=keep_state(thoughts, plan, self._target, has_calls=has_calls),
            model=self._target.model,
            provider=self._target.provider,
        )
        return Done(last)


def _index(said: dict[str, Any], otherwise: int) -> int:
    index = said.get("index")
    return index if isinstance(index, int) else otherwise
