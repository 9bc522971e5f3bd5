"""Read streamed responses: events in, chunks out. A stream is complete only after a finish reason or ``[DONE]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.finish_reasons import is_answer, read_finish_reason
from unified_llm._formats.json_values import is_list, is_object, text_or_none
from unified_llm._formats.openai_chat.response import (
    ReasoningDetails,
    get_message,
    has_media,
    is_error,
    read_citations,
    read_content,
    read_interruption,
    read_logprobs,
    read_sources,
    read_usage,
)
from unified_llm._formats.openai_chat.tool_calls import ToolCalls
from unified_llm._formats.openai_errors import read_error
from unified_llm._lib.bounded_json import JSONError, parse_lenient
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import Citation, LLMChunk

# Fields of a chunk besides its choices. Few chunks have one, and there are many chunks, so they are tested at once.
_OTHER_FIELDS: Final = frozenset({"usage", "x_groq", "citations", "search_results"})


class ChatStream:
    """Decoder of one stream. Data of the last chunk is kept until ``[DONE]`` or the end of the bytes.

    A finish reason announces the end: an error, or an event that cannot be read, is ignored after it. Servers that send
    one with every chunk announce nothing.
    """

    __slots__ = (
        "_announced", "_calls", "_details", "_ended", "_finish_reason", "_has_content", "_has_output", "_id",
        "_keep_raw", "_model", "_sources", "_target", "_usage",
    )  # fmt: skip

    def __init__(self, request: LLMRequest, target: Target) -> None:
        self._target = target
        self._keep_raw = bool(request.logprobs or request.top_logprobs)
        self._calls = ToolCalls()
        self._details = ReasoningDetails()
        self._sources: tuple[Citation, ...] = ()
        self._finish_reason: object = None
        self._announced = False
        self._usage: Mapping[str, Any] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._has_output = self._has_content = False  # output includes reasoning
        self._ended = False

    @property
    def kept(self) -> int:
        """Bytes of reasoning details and of calls without a name."""
        return self._details.size + self._calls.pending_size

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Return the chunks of this event; ``Done`` at ``[DONE]``; nothing after that or after a failure."""
        data = event.data
        if self._ended or not data:
            return ()
        if len(data) < 16 and (not (short := data.strip()) or short == "[DONE]"):
            return (*self._flush_calls(), self._build_end()) if short else ()
        try:
            chunk = parse_lenient(data, keep_halves=True)
        except JSONError:
            text_error = event.event == "error"
            return self._fail(read_error(data, self._target) if text_error else Failure("malformed"))
        if not is_object(chunk):
            return self._fail(Failure("malformed"))
        if event.event == "error" or is_error(chunk):
            return self._fail(read_error(chunk, self._target))
        return self._read_chunk(chunk)

    def finish(self) -> Done | Failure:
        """End the stream: ``Done`` after a finish reason, since some servers send no ``[DONE]``; else ``truncated``."""
        return Failure("truncated") if self._finish_reason is None else self._build_end()

    def _read_chunk(self, chunk: dict[str, Any]) -> Sequence[LLMChunk | Done | Failure]:
        if self._id is None:
            self._id = text_or_none(chunk.get("id"))
        if self._model is None:
            self._model = text_or_none(chunk.get("model"))
        if not _OTHER_FIELDS.isdisjoint(chunk):
            failure = self._read_other_fields(chunk)
            if failure is not None:
                return self._fail(failure)
        choices = chunk.get("choices")
        choice = choices[0] if is_list(choices) and choices else None
        if not is_object(choice) or choice.get("index"):
            return ()
        chunks = self._read_delta(choice, chunk)
        if self._finish_reason is not None and chunks:
            self._announced = False
        if choice.get("finish_reason") is None and "error" not in choice:
            return chunks
        interruption = read_interruption(choice, self._target)
        if interruption is not None:
            return [*chunks, *self._fail(interruption)]
        finish = choice.get("finish_reason")
        if finish and self._sources:  # Perplexity repeats them in every chunk, and they may grow
            chunks.append(LLMChunk(citations=self._sources))
            self._sources = ()
        self._announced = bool(finish) and (self._announced or self._finish_reason is None)
        self._finish_reason = finish or self._finish_reason
        return [*chunks, *self._flush_calls()]

    def _read_other_fields(self, chunk: dict[str, Any]) -> Failure | None:
        """Read the fields of a chunk besides its choices."""
        if "citations" in chunk or "search_results" in chunk:
            self._sources = read_sources(chunk) or self._sources
        # Usage comes with the last choice, in a separate chunk after it, or (Groq) in a separate field.
        if chunk.get("usage"):
            self._usage = chunk
        elif "x_groq" in chunk and is_object(groq := chunk["x_groq"]):
            if groq.get("error"):
                return read_error(groq, self._target)
            self._usage = groq if groq.get("usage") else self._usage
        return None

    def _read_delta(self, choice: dict[str, Any], chunk: dict[str, Any]) -> list[LLMChunk | Done | Failure]:
        delta = choice.get("delta")
        if not is_object(delta) or not delta:
            # Some servers send the whole answer as one event, under the name that it has without streaming.
            delta = get_message(choice, "delta" if self._has_output else "message")
        chunks: list[LLMChunk | Done | Failure] = []
        content, reasoning = read_content(delta)
        refusal = text_or_none(delta.get("refusal")) or ""
        logprobs = read_logprobs(choice) if choice.get("logprobs") is not None else ()
        citations = read_citations(delta) if "annotations" in delta else ()
        if content or reasoning or refusal or logprobs or citations:
            raw = chunk if self._keep_raw else None
            chunks.append(LLMChunk(content, reasoning, (), refusal, citations, logprobs, raw=raw))
        if "reasoning_details" in delta:
            self._details.add(delta)
        fragments = delta.get("tool_calls")
        if not fragments and "function_call" in delta:
            fragments = [{"index": 0, "function": delta["function_call"]}]  # OpenAI's form before tools
        if is_list(fragments):
            calls = tuple(call for fragment in fragments if (call := self._calls.read(fragment)) is not None)
            if calls:
                chunks.append(LLMChunk(tool_calls=calls))
        if not self._has_content:
            is_content = is_answer(content, self._has_output) or bool(refusal) or self._calls.any or has_media(delta)
            self._has_content = is_content
            self._has_output = self._has_output or is_content or bool(reasoning)
        return chunks

    def _flush_calls(self) -> list[LLMChunk]:
        """Return the calls that never got a name, and the ends of those of custom tools."""
        calls = tuple(self._calls.flush())
        self._has_content = self._has_content or bool(calls)
        return [LLMChunk(tool_calls=calls)] if calls else []

    def _fail(self, failure: Failure) -> Sequence[Failure]:
        if self._announced:
            return ()
        self._ended = True
        return (failure,)

    def _build_end(self) -> Done | Failure:
        self._ended = True
        reason = read_finish_reason(
            self._finish_reason, self._target, has_content=self._has_content, has_calls=self._calls.any
        )
        if isinstance(reason, Failure):
            return reason
        last = LLMChunk(
            finish_reason=reason,
            usage=read_usage(self._usage, self._target.quirks),
            response_id=self._id,
            provider_state=self._details.provider_state(self._target),
            model=self._model or self._target.model,
            provider=self._target.provider,
        )
        return Done(last)
