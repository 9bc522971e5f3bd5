"""Read streamed responses: typed events in, chunks out. A stream is complete only after its last event.

There is no ``[DONE]``: the last event contains the whole response. Fields that were streamed are not read from it
again; a field that a server did not stream becomes a chunk then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats import custom_tools
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_list, is_object, object_or_empty, small_int, text_or_none
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.openai_responses.provider_state import CALLS, keep_state
from unified_llm._formats.openai_responses.response import (
    REASONING_SEPARATOR,
    Output,
    finish_reason,
    read_arguments,
    read_citation,
    read_interruption,
    read_name,
    read_output,
    read_usage,
)
from unified_llm._formats.response_fields import read_logprobs
from unified_llm._lib.bounded_json import JSONError, parse_lenient, size_of_value
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.responses import LLMChunk

StreamEvents: TypeAlias = Sequence[LLMChunk | Done | Failure]
_PartKey: TypeAlias = tuple[str | int | None, int | None, int | None]
_FRAGMENT_SIZE: Final = 64  # bytes that a fragment of arguments takes besides its text, roughly
_ENTRY_SIZE: Final = 256  # bytes that an entry of a dictionary takes with its key, roughly
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


class ResponseStream:
    """Decoder of one stream."""

    __slots__ = (
        "_calls", "_done_items", "_ended", "_handlers", "_last_reasoning_part", "_length", "_size", "_streamed_fields",
        "_target", "_text_offsets",
    )  # fmt: skip

    def __init__(self, target: Target) -> None:
        self._target = target
        self._calls = _ToolCalls()
        self._done_items: list[object] = []
        self._size = 0  # bytes of what is kept, roughly
        self._text_offsets: dict[_PartKey, int] = {}  # part of the response → offset of its text
        self._length = 0
        self._last_reasoning_part: _PartKey | None = None
        self._streamed_fields: set[str] = set()  # names of chunk fields
        self._ended = False
        self._handlers: Mapping[str, Callable[[dict[str, Any]], LLMChunk | None]] = {
            "response.output_text.delta": self._on_text,
            "response.output_text.annotation.added": self._on_annotation,
            "response.refusal.delta": self._on_refusal,
            "response.reasoning_summary_text.delta": self._on_reasoning,
            "response.reasoning_text.delta": self._on_reasoning,
            "response.output_item.added": self._on_item_added,
            "response.output_item.done": self._on_item_done,
            "response.function_call_arguments.delta": self._on_arguments,
            "response.function_call_arguments.done": self._on_arguments_done,
            "response.custom_tool_call_input.delta": self._on_input,
            "response.custom_tool_call_input.done": self._on_input_done,
        }

    @property
    def kept(self) -> int:
        """Bytes of output items, of the arguments of calls, and of what identifies parts and calls."""
        return self._size + self._calls.size

    def feed(self, event: ServerSentEvent) -> StreamEvents:
        """Return the chunks of this event; ``Done`` at the last event; nothing after that or after a failure."""
        if self._ended or not event.data or event.data.strip() == "[DONE]":
            return ()
        try:
            data = parse_lenient(event.data, keep_halves=True)
        except JSONError:
            return self._fail(Failure("malformed"))
        if not is_object(data):
            return self._fail(Failure("malformed"))
        kind = data.get("type")
        if kind == "error" or event.event == "error" or (data.get("error") and kind not in _ENDS):
            return self._fail(read_error(data, self._target))
        if isinstance(kind, str) and kind in _ENDS:
            return self._end(object_or_empty(data.get("response")), kind)
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        chunk = handler(data) if handler else None
        if chunk is None:
            return ()
        self._streamed_fields.add(_field_of(chunk))
        return (chunk,)

    def finish(self) -> Done | Failure:
        """End the stream without its last event: it is incomplete."""
        return Failure("truncated")

    def _on_text(self, data: dict[str, Any]) -> LLMChunk | None:
        text = data.get("delta")
        if not isinstance(text, str) or not text:
            return None
        part = _part_key(data)
        if part not in self._text_offsets:
            self._text_offsets[part] = self._length
            self._size += _entry_size(part[0])
        self._length += len(text)
        return LLMChunk(content=text, logprobs=read_logprobs(data.get("logprobs")))

    def _on_annotation(self, data: dict[str, Any]) -> LLMChunk | None:
        citation = read_citation(data.get("annotation"), self._text_offsets.get(_part_key(data), 0))
        return LLMChunk(citations=(citation,)) if citation else None

    def _on_refusal(self, data: dict[str, Any]) -> LLMChunk | None:
        text = text_or_none(data.get("delta"))
        return LLMChunk(refusal=text) if text else None

    def _on_reasoning(self, data: dict[str, Any]) -> LLMChunk | None:
        text = text_or_none(data.get("delta"))
        if not text:
            return None
        part = _part_key(data)
        is_next = self._last_reasoning_part is not None and self._last_reasoning_part != part
        self._last_reasoning_part = part
        return LLMChunk(reasoning=REASONING_SEPARATOR + text if is_next else text)

    def _on_item_added(self, data: dict[str, Any]) -> LLMChunk | None:
        item = data.get("item")
        if not is_object(item) or item.get("type") not in ("function_call", "custom_tool_call"):
            return None
        return _call_chunk(self._calls.begin(item, data))

    def _on_item_done(self, data: dict[str, Any]) -> LLMChunk | None:
        item = data.get("item")
        self._done_items.append(item)
        self._size += size_of_value(item)
        if not is_object(item) or item.get("type") not in CALLS:
            return None
        call_event = {**data, "item_id": item.get("id"), "call_id": item.get("call_id")}
        if not self._calls.has_begun(call_event):
            return _call_chunk(self._calls.begin(item, data))
        return _call_chunk(self._calls.complete(call_event, read_arguments(item)))

    def _on_arguments(self, data: dict[str, Any]) -> LLMChunk | None:
        return _call_chunk(self._calls.extend(data, data.get("delta")))

    def _on_arguments_done(self, data: dict[str, Any]) -> LLMChunk | None:
        return _call_chunk(self._calls.complete(data, data.get("arguments")))

    def _on_input(self, data: dict[str, Any]) -> LLMChunk | None:
        return _call_chunk(self._calls.extend(data, custom_tools.escape(text_or_none(data.get("delta")) or "")))

    def _on_input_done(self, data: dict[str, Any]) -> LLMChunk | None:
        return _call_chunk(self._calls.complete(data, custom_tools.arguments_of(text_or_none(data.get("input")) or "")))

    def _fail(self, failure: Failure) -> Sequence[Failure]:
        self._ended = True
        return (failure,)

    def _end(self, response: dict[str, Any], kind: str) -> StreamEvents:
        self._ended = True
        response = {"status": kind.removeprefix("response."), **response}
        failure = read_interruption(response, self._target)
        if failure is not None:
            return (failure,)
        full_output = response.get("output")
        output: list[Any] = full_output if is_list(full_output) and full_output else self._done_items
        answer = read_output(output)
        chunks = [chunk for chunk in _chunks_of(answer) if _field_of(chunk) not in self._streamed_fields]
        if ends := self._calls.close_inputs():
            chunks.append(LLMChunk(tool_calls=ends))
        reason = finish_reason(response, has_calls=self._calls.any or bool(answer.calls))
        if reason in {"stop", "tool_calls"} and self._streamed_fields <= {"reasoning"} and answer.is_empty:
            return (Failure("empty"),)
        last = LLMChunk(
            finish_reason=reason,
            usage=read_usage(response, self._target.quirks),
            response_id=text_or_none(response.get("id")),
            provider_state=keep_state(output, self._target),
            model=text_or_none(response.get("model")) or self._target.model,
            provider=self._target.provider,
        )
        return [*chunks, Done(last)]


class _ToolCalls:
    """Numbers the tool calls of one stream. Events identify a call by its item, its identifier or its index."""

    __slots__ = ("_arguments", "_identifiers", "_positions", "size")

    def __init__(self) -> None:
        self._positions: dict[str | int, int] = {}  # item id, call id or index → position of the call
        self._arguments: list[_Arguments] = []  # by position
        self._identifiers = Identifiers()
        self.size = 0  # bytes, roughly

    @property
    def any(self) -> bool:
        """Return whether a call has begun."""
        return bool(self._arguments)

    def has_begun(self, data: Mapping[str, Any]) -> bool:
        """Return whether the call of an event has begun."""
        return self._position(data) is not None

    def begin(self, item: Mapping[str, Any], data: Mapping[str, Any]) -> ToolCallChunk:
        """Return the first fragment of a call."""
        position = len(self._arguments)
        for name in (text_or_none(item.get("id")), text_or_none(item.get("call_id")), _index(data, "output_index")):
            if name is not None:
                self._positions[name] = position
                self.size += _entry_size(name)
        is_custom = item.get("type") == "custom_tool_call"
        arguments = read_arguments(item)
        if arguments == "null":  # see ``extend``
            arguments = ""
        is_open = is_custom and data.get("type") == "response.output_item.added"  # its input is still to come
        if is_open:
            arguments = arguments.removesuffix(custom_tools.CLOSING)
        self._arguments.append(_Arguments([arguments], len(arguments), is_open))
        self.size += _ENTRY_SIZE + len(arguments)
        identifier = self._identifiers.take(text_or_none(item.get("call_id")) or item.get("id"))
        return ToolCallChunk(position, identifier, read_name(item), arguments)

    def extend(self, data: Mapping[str, Any], arguments: object) -> ToolCallChunk | None:
        """Return a fragment of the arguments."""
        position = self._position(data)
        if position is None or not isinstance(arguments, str) or not arguments:
            return None
        if arguments == "null" and not self._arguments[position].length:  # Groq, for a tool without parameters
            return None
        self._arguments[position].add(arguments)
        self.size += _FRAGMENT_SIZE
        return ToolCallChunk(position, arguments=arguments)

    def complete(self, data: Mapping[str, Any], arguments: object) -> ToolCallChunk | None:
        """Return the rest of the whole arguments after the fragments: all of them, where a server streams none."""
        position = self._position(data)
        if position is None or not isinstance(arguments, str):
            return None
        call = self._arguments[position]
        rest = call.rest_of(arguments)
        if call.is_open:
            call.is_open, rest = False, rest or custom_tools.CLOSING
        return self.extend(data, rest)

    def close_inputs(self) -> tuple[ToolCallChunk, ...]:
        """Return the ends of the arguments of custom tools whose input was never reported as complete."""
        still_open = [number for number, call in enumerate(self._arguments) if call.is_open]
        return tuple(ToolCallChunk(number, arguments=custom_tools.CLOSING) for number in still_open)

    def _position(self, data: Mapping[str, Any]) -> int | None:
        names = (text_or_none(data.get("item_id")), text_or_none(data.get("call_id")), _index(data, "output_index"))
        return next((self._positions[name] for name in names if name is not None and name in self._positions), None)


@dataclass(slots=True)
class _Arguments:
    """The arguments of one call so far; ``is_open`` for those of a custom tool until their end was emitted."""

    fragments: list[str]
    length: int
    is_open: bool = False

    def add(self, fragment: str) -> None:
        self.fragments.append(fragment)
        self.length += len(fragment)

    def rest_of(self, whole: str) -> str:
        """Return what the whole arguments have after these; nothing if they begin differently."""
        if len(whole) <= self.length:  # without joining: a server may send any number of short ones
            return ""
        self.fragments = ["".join(self.fragments)]
        return whole[self.length :] if whole.startswith(self.fragments[0]) else ""


def _call_chunk(call: ToolCallChunk | None) -> LLMChunk | None:
    return LLMChunk(tool_calls=(call,)) if call else None


def _index(data: Mapping[str, Any], name: str) -> int | None:
    return small_int(data.get(name))


def _part_key(data: Mapping[str, Any]) -> _PartKey:
    """Return the key of the item and part of an event."""
    item = text_or_none(data.get("item_id")) or _index(data, "output_index")
    return (item, _index(data, "content_index"), _index(data, "summary_index"))


def _entry_size(key: str | int | None) -> int:
    return _ENTRY_SIZE + (len(key) if isinstance(key, str) else 0)


def _field_of(chunk: LLMChunk) -> str:
    """Return the name of the one field of a chunk that is set."""
    fields = (("content", chunk.content), ("reasoning", chunk.reasoning), ("tool_calls", chunk.tool_calls))
    return next((name for name, value in fields if value), "refusal" if chunk.refusal else "citations")


def _chunks_of(answer: Output) -> Iterator[LLMChunk]:
    """Yield a whole response as chunks."""
    if answer.reasoning:
        yield LLMChunk(reasoning=REASONING_SEPARATOR.join(answer.reasoning))
    if answer.content:
        yield LLMChunk(content=answer.content, citations=tuple(answer.citations), logprobs=tuple(answer.logprobs))
    if answer.refusal:
        yield LLMChunk(refusal=answer.refusal)
    if answer.calls:
        yield LLMChunk(
            tool_calls=tuple(
                ToolCallChunk(index, call.id, call.name, call.raw_arguments) for index, call in enumerate(answer.calls)
            )
        )
