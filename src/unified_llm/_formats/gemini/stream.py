"""Streamed answers: events in, chunks out.

An event has the shape of a whole answer, with only the new parts. There is no terminal event: a stream is complete when
an event gave a finish reason and the bytes have ended. An error in the middle is bare JSON instead of an event; the
splitter returns it as if it were one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.finish_reasons import read_finish_reason, read_interruption
from unified_llm._formats.gemini.errors import is_error, read_error
from unified_llm._formats.gemini.response import (
    Candidate,
    read_blocked_prompt,
    read_citations,
    read_logprobs,
    read_usage,
)
from unified_llm._formats.json_values import brief, is_list, is_object, text_or_none
from unified_llm._lib.bounded_json import JSONError, parse_lenient
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.records import Usage
from unified_llm.types.responses import Citation, LLMChunk


class ChatStream:
    """Decoder of one stream. Fields of the last chunk are collected until the bytes have ended."""

    __slots__ = ("_candidate", "_ended", "_finish", "_id", "_model", "_sent_citations", "_target", "_usage")

    def __init__(self, target: Target) -> None:
        self._target = target
        self._candidate = Candidate()
        self._sent_citations: set[Citation] = set()
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._id: str | None = None
        self._model: str | None = None
        self._ended = False

    @property
    def kept(self) -> int:
        """Bytes of calls, of opaque parts, and of the layout of the answer."""
        return self._candidate.calls_size + self._candidate.layout.size

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Return the chunks of this event; nothing after a failure."""
        if self._ended or not event.data.strip() or event.data.strip() == "[DONE]":  # proxies add OpenAI's end
            return ()
        try:
            answer = parse_lenient(event.data, keep_halves=True)
        except JSONError:
            return self._fail(Failure("malformed"))
        if is_error(answer):
            return self._fail(read_error(answer))
        if not is_object(answer):
            return self._fail(Failure("malformed"))
        return self._read(answer)

    def finish(self) -> Done | Failure:
        """Return the result at the end of the bytes; without a finish reason the stream was cut off."""
        self._ended = True
        if self._finish is None:
            return Failure("truncated")
        candidate = self._candidate
        reason = read_finish_reason(
            self._finish, self._target, has_content=candidate.has_content, has_calls=bool(candidate.calls)
        )
        if isinstance(reason, Failure):
            return reason
        last = LLMChunk(
            finish_reason=reason,
            usage=self._usage,
            response_id=self._id,
            provider_state=self._candidate.layout.keep_state(self._candidate.content, self._target),
            model=self._model or self._target.model,
            provider=self._target.provider,
        )
        return Done(last)

    def _read(self, answer: dict[str, Any]) -> Sequence[LLMChunk | Done | Failure]:
        self._id = self._id or text_or_none(answer.get("responseId"))
        self._model = self._model or text_or_none(answer.get("modelVersion"))
        self._usage = read_usage(answer) or self._usage
        candidates = answer.get("candidates")
        candidate = next(filter(is_object, candidates), None) if is_list(candidates) else None
        if candidate is None:
            blocked = read_blocked_prompt(answer)
            return self._fail(blocked) if blocked else ()
        if candidate.get("index"):
            return ()
        chunks = [*self._chunks(candidate)]
        finish = text_or_none(candidate.get("finishReason"))
        kind = read_interruption(finish)
        if kind is not None:
            failure = Failure(kind, code=finish, detail=brief(candidate.get("finishMessage")))
            return [*chunks, *self._fail(failure)]
        self._finish = finish or self._finish
        return chunks

    def _chunks(self, candidate: Mapping[str, Any]) -> Iterator[LLMChunk]:
        logprobs = read_logprobs(candidate)
        for chunk in self._candidate.read(candidate, self._id):
            if logprobs and chunk.content:
                yield replace(chunk, logprobs=logprobs)
                logprobs = ()
            else:
                yield chunk
        citations: list[Citation] = []
        if "groundingMetadata" in candidate or "citationMetadata" in candidate:
            cited = read_citations(candidate, self._candidate.text)
            citations = [citation for citation in cited if citation not in self._sent_citations]
            self._sent_citations.update(citations)
        if citations or logprobs:
            yield LLMChunk(citations=tuple(citations), logprobs=logprobs)

    def _fail(self, failure: Failure) -> Sequence[Failure]:
        if self._finish is not None:  # the end was announced: what follows takes nothing back
            return ()
        self._ended = True
        return (failure,)
