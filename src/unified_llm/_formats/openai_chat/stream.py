"""Read streamed responses: events in, chunks out. A stream is complete only after a finish reason or ``[DONE]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_list, is_object, json_text, small_int, text_or_none
from unified_llm._formats.openai_chat.response import (
    FINISH,
    ReasoningDetails,
    get_message,
    is_error,
    read_citations,
    read_content,
    read_interruption,
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

# Bytes that a call and a fragment of its arguments take besides their texts, roughly.
_CALL_SIZE: Final = 256
_FRAGMENT_SIZE: Final = 64
# Fields of a chunk besides its choices. Few chunks have one, and there are many chunks, so they are tested at once.
_OTHER_FIELDS: Final = frozenset({"usage", "x_groq", "citations", "search_results"})


class ChatStream:
    """Decoder of one stream. Data of the last chunk is kept until ``[DONE]`` or the end of the bytes."""

    __slots__ = (
        "_calls", "_details", "_ended", "_finish_reason", "_has_output", "_id", "_keep_raw", "_model", "_sources",
        "_target", "_usage",
    )  # fmt: skip

    def __init__(self, request: LLMRequest, target: Target) -> None:
        self._target = target
        self._keep_raw = bool(request.logprobs or request.top_logprobs)
        self._calls = ToolCalls()
        self._details = ReasoningDetails()
        self._sources: tuple[Citation, ...] = ()
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._has_output = False
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
            chunk = parse(data)
        except JSONError:
            return self._fail(Failure("malformed"))
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
        if choice.get("finish_reason") is None and "error" not in choice:
            return chunks
        interruption = read_interruption(choice, self._target)
        if interruption is not None:
            return [*chunks, *self._fail(interruption)]
        finish = text_or_none(choice.get("finish_reason"))
        if finish and self._sources:  # Perplexity repeats them in every chunk, and they may grow
            chunks.append(LLMChunk(citations=self._sources))
            self._sources = ()
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
        if not is_object(delta):
            delta = get_message(choice, "delta")
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
        if is_list(fragments):
            calls = tuple(call for fragment in fragments if (call := self._calls.read(fragment)) is not None)
            if calls:
                chunks.append(LLMChunk(tool_calls=calls))
        if content or reasoning or refusal or self._calls.any:
            self._has_output = True
        return chunks

    def _flush_calls(self) -> list[LLMChunk]:
        """Return the calls that never got a name."""
        calls = tuple(self._calls.flush())
        self._has_output = self._has_output or bool(calls)
        return [LLMChunk(tool_calls=calls)] if calls else []

    def _fail(self, failure: Failure) -> Sequence[Failure]:
        self._ended = True
        return (failure,)

    def _build_end(self) -> Done | Failure:
        self._ended = True
        reason = finish_reason(self._finish_reason, FINISH, self._target, has_calls=self._calls.any)
        if not self._has_output and reason in {"stop", "tool_calls"}:
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
    """Numbers the tool calls of one stream, for all the ways in which servers use ``index`` and ``id``.

    OpenAI keys fragments by ``index`` and sends ``id`` and ``name`` once. Other servers send parallel calls that all
    have index 0 and different ids, or no ``index``, or no ``id``, or a different ``id`` on each fragment of one call.
    So a call begins at an unknown index, or where a name comes with another ``id``. Fragments before the name are kept,
    because our first fragment must contain the name.
    """

    __slots__ = ("_identifiers", "_latest_by_index", "_unnamed", "pending_size")

    def __init__(self) -> None:
        self._latest_by_index: dict[int | None, _Call] = {}  # the server's index → its latest call
        self._unnamed: dict[int, _Call] = {}  # calls without a name, by their identity, in the order in which they came
        self._identifiers = Identifiers()
        self.pending_size = 0  # bytes, roughly

    @property
    def any(self) -> bool:
        """Return whether a call was emitted."""
        return len(self._identifiers) > 0

    def read(self, fragment: object) -> ToolCallChunk | None:
        """Convert a fragment to our type; None if it adds nothing, or is kept until the call has a name."""
        if not is_object(fragment) or not is_object(function := fragment.get("function")):
            return None
        index = small_int(fragment.get("index"))
        server_id = text_or_none(fragment.get("id"))
        name = text_or_none(function.get("name"))
        arguments = json_text(function.get("arguments"))
        call = self._latest_by_index.get(index)
        if call is None or call.is_another(index, server_id, name):
            call = self._latest_by_index[index] = _Call(server_id)
            self._unnamed[id(call)] = call
            self._hold(call, _CALL_SIZE + len(server_id or ""))
        if call.position is not None:
            return ToolCallChunk(call.position, arguments=arguments) if arguments else None
        if arguments:
            call.pending_arguments.append(arguments)
            self._hold(call, _FRAGMENT_SIZE + len(arguments))
        return None if name is None else self._begin(call, name)

    def flush(self) -> list[ToolCallChunk]:
        """Return the calls that have no name at the end of the stream."""
        return [self._begin(call, "") for call in list(self._unnamed.values())]

    def _begin(self, call: _Call, name: str) -> ToolCallChunk:
        del self._unnamed[id(call)]
        self._hold(call, -call.size)
        arguments, call.pending_arguments = "".join(call.pending_arguments), []
        call.position = len(self._identifiers)
        return ToolCallChunk(call.position, self._identifiers.take(call.server_id), name, arguments)

    def _hold(self, call: _Call, size: int) -> None:
        call.size += size
        self.pending_size += size


@dataclass(slots=True)
class _Call:
    """One call: the server's identifier, its position once it was emitted, and its arguments and size until then."""

    server_id: str | None
    position: int | None = None
    pending_arguments: list[str] = field(default_factory=list[str])
    size: int = 0

    def is_another(self, index: int | None, server_id: str | None, name: str | None) -> bool:
        """Return whether a fragment with the same index belongs to the next call."""
        if name is None or self.position is None:
            return False
        return index is None if server_id is None else server_id != self.server_id
