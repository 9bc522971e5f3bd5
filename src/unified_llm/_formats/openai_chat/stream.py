"""Streamed answers: events in, chunks out, and the end only when the provider has said so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_list, is_object, json_text, text_or_none
from unified_llm._formats.openai_chat.response import (
    FINISH,
    ReasoningDetails,
    broken_off,
    is_error,
    message_of,
    read_citations,
    read_content,
    read_logprobs,
    read_sources,
    read_usage,
)
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.response_fields import finish_reason
from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import Citation, LLMChunk

# What a chunk may say besides its choices; few do, and there are many chunks.
_BESIDES: Final = frozenset({"usage", "x_groq", "citations", "search_results"})


class ChatStream:
    """The decoder of one stream. What belongs to the last chunk is held until ``[DONE]``, or the end of the bytes."""

    __slots__ = (
        "_calls", "_details", "_ended", "_finish", "_id", "_model", "_sources", "_spoke", "_target", "_usage",
        "_with_raw",
    )  # fmt: skip

    def __init__(self, request: LLMRequest, target: Target) -> None:
        """Nothing has been read yet."""
        self._target = target
        self._with_raw = bool(request.logprobs or request.top_logprobs)
        self._calls = ToolCalls()
        self._details = ReasoningDetails()
        self._sources: tuple[Citation, ...] = ()
        self._finish: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._spoke = False
        self._ended = False

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Chunks of this event; ``Done`` at ``[DONE]``; nothing after that or after a failure."""
        data = event.data
        if self._ended or not data:
            return ()
        if len(data) < 16 and (not (short := data.strip()) or short == "[DONE]"):
            return (*self._held_back(), self._end()) if short else ()
        try:
            chunk = parse(data)
        except JSONError:
            return self._fail(Failure("malformed"))
        if not is_object(chunk):
            return self._fail(Failure("malformed"))
        if event.event == "error" or is_error(chunk):
            return self._fail(read_error(chunk, self._target))
        return self._read(chunk)

    def finish(self) -> Done | Failure:
        """Some servers close the connection after the finish reason and send no ``[DONE]``."""
        return Failure("truncated") if self._finish is None else self._end()

    def _read(self, chunk: dict[str, Any]) -> Sequence[LLMChunk | Done | Failure]:
        if self._id is None:
            self._id = text_or_none(chunk.get("id"))
        if self._model is None:
            self._model = text_or_none(chunk.get("model"))
        if not _BESIDES.isdisjoint(chunk):
            failure = self._take(chunk)
            if failure is not None:
                return self._fail(failure)
        choices = chunk.get("choices")
        choice = choices[0] if is_list(choices) and choices else None
        if not is_object(choice) or choice.get("index"):
            return ()
        chunks = self._read_delta(choice, chunk)
        if choice.get("finish_reason") is None and "error" not in choice:
            return chunks
        broken = broken_off(choice, self._target)
        if broken is not None:
            return [*chunks, *self._fail(broken)]
        finish = text_or_none(choice.get("finish_reason"))
        if finish and self._sources:  # Perplexity repeats them in every chunk, and they may grow
            chunks.append(LLMChunk(citations=self._sources))
            self._sources = ()
        self._finish = finish or self._finish
        return [*chunks, *self._held_back()]

    def _take(self, chunk: dict[str, Any]) -> Failure | None:
        """What a chunk says besides its choices."""
        if "citations" in chunk or "search_results" in chunk:
            self._sources = read_sources(chunk) or self._sources
        # With the last choice, in a chunk of its own after it, or (Groq) in a field of its own.
        if chunk.get("usage"):
            self._usage = chunk
        elif "x_groq" in chunk and is_object(groq := chunk["x_groq"]):
            if groq.get("error"):
                return read_error(groq, self._target)
            self._usage = groq if groq.get("usage") else self._usage
        return None

    def _read_delta(self, choice: dict[str, Any], chunk: dict[str, Any]) -> list[LLMChunk | Done | Failure]:
        delta = choice.get("delta")
        if not is_object(delta):
            delta = message_of(choice, "delta")
        chunks: list[LLMChunk | Done | Failure] = []
        content, reasoning = read_content(delta)
        refusal = text_or_none(delta.get("refusal")) or ""
        logprobs = read_logprobs(choice) if choice.get("logprobs") is not None else ()
        citations = read_citations(delta) if "annotations" in delta else ()
        if content or reasoning or refusal or logprobs or citations:
            raw = chunk if self._with_raw else None
            chunks.append(LLMChunk(content, reasoning, (), refusal, citations, logprobs, raw=raw))
        if "reasoning_details" in delta:
            self._details.add(delta)
        fragments = delta.get("tool_calls")
        if is_list(fragments):
            calls = tuple(call for each in fragments if (call := self._calls.read(each)) is not None)
            if calls:
                chunks.append(LLMChunk(tool_calls=calls))
        if content or reasoning or refusal or self._calls.any:
            self._spoke = True
        return chunks

    def _held_back(self) -> list[LLMChunk]:
        """The calls whose names never came."""
        calls = tuple(self._calls.rest())
        self._spoke = self._spoke or bool(calls)
        return [LLMChunk(tool_calls=calls)] if calls else []

    def _fail(self, failure: Failure) -> Sequence[Failure]:
        self._ended = True
        return (failure,)

    def _end(self) -> Done | Failure:
        self._ended = True
        reason = finish_reason(self._finish, FINISH, self._target, has_calls=self._calls.any)
        if not self._spoke and reason in {"stop", "tool_calls"}:
            return Failure("empty")
        last = LLMChunk(
            finish_reason=reason,
            usage=read_usage(self._usage, self._target.quirks),
            response_id=self._id,
            provider_state=self._details.provider_state(self._target),
            model=self._model or self._target.model,
            provider=self._target.provider,
        )
        return Done(last)


class ToolCalls:
    """Numbers the calls of one stream, whatever a server makes of ``index`` and ``id``.

    OpenAI keys fragments by ``index`` and sends ``id`` and ``name`` once. Elsewhere every parallel call has index 0 and
    an ``id`` of its own, there is no ``index``, there is no ``id``, or each fragment of one call has another ``id``;
    so a call begins where an unknown index is, or where a name comes with another ``id``. What comes of a call before
    its name is held back, for the name belongs on the first fragment.
    """

    __slots__ = ("_begun", "_identifiers", "_latest")

    def __init__(self) -> None:
        """No call has begun."""
        self._latest: dict[int | None, _Call] = {}  # the server's index → its latest call
        self._begun: list[_Call] = []
        self._identifiers = Identifiers()

    @property
    def any(self) -> bool:
        """Whether a call has been handed on."""
        return len(self._identifiers) > 0

    def read(self, fragment: object) -> ToolCallChunk | None:
        """A fragment in our form, or None if it says nothing new."""
        if not is_object(fragment) or not is_object(function := fragment.get("function")):
            return None
        index = fragment.get("index") if isinstance(fragment.get("index"), int) else None
        said = text_or_none(fragment.get("id"))
        name = text_or_none(function.get("name"))
        arguments = json_text(function.get("arguments"))
        call = self._latest.get(index)
        if call is None or call.is_another(index, said, name):
            call = self._latest[index] = _Call(said)
            self._begun.append(call)
        if call.number is not None:
            return ToolCallChunk(call.number, arguments=arguments) if arguments else None
        call.held += arguments
        return None if name is None else self._first(call, name)

    def rest(self) -> list[ToolCallChunk]:
        """The calls that have no name, now that the answer is over."""
        return [self._first(call, "") for call in self._begun if call.number is None]

    def _first(self, call: _Call, name: str) -> ToolCallChunk:
        call.number = len(self._identifiers)
        return ToolCallChunk(call.number, self._identifiers.take(call.said), name, call.held)


@dataclass(slots=True)
class _Call:
    """One call: what the server named it, its number once it was handed on, and its arguments until then."""

    said: str | None
    number: int | None = None
    held: str = ""

    def is_another(self, index: int | None, said: str | None, name: str | None) -> bool:
        """Whether a fragment at the same place belongs to the next call."""
        if name is None or self.number is None:
            return False
        return index is None if said is None else said != self.said
