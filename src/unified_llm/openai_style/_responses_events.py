"""Streams of any target as events of the Responses API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from unified_llm.openai_style._declared_fields import read_union
from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style._records import with_record
from unified_llm.openai_style._responses_output import (
    call_item,
    custom_tools,
    end_of,
    head_of,
    message_item,
    reasoning_item,
    text_part,
    tokens_of,
    write_annotations,
)
from unified_llm.openai_style._streams import event_bodies
from unified_llm.openai_style.types.responses.response_stream_event import ResponseStreamEvent
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.responses import LLMChunk

_EVENT: Final = read_union(ResponseStreamEvent, OpenAIObject)


class _Kind(NamedTuple):
    """How the parts of one kind are streamed: the names of their events and fields."""

    part: str
    text: str
    position: str
    field: str


_KINDS: Final[Mapping[str, _Kind]] = {
    "output_text": _Kind("response.content_part", "response.output_text", "content_index", "text"),
    "refusal": _Kind("response.content_part", "response.refusal", "content_index", "refusal"),
    "summary_text": _Kind(
        "response.reasoning_summary_part", "response.reasoning_summary_text", "summary_index", "text"
    ),
}


def event_of(parsed: Mapping[str, Any]) -> OpenAIObject:
    """Return an event as an object of the class of its type."""
    event: OpenAIObject = _EVENT(parsed)
    return event


@dataclass(slots=True)
class _OpenPart:
    """A part of the output that is being streamed, the only one of its item."""

    kind: str
    item: dict[str, Any]
    output_index: int
    texts: list[str] = field(default_factory=list[str])
    annotations: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    logprobs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def address(self) -> dict[str, Any]:
        """The fields of its events that say which part it is."""
        return {"item_id": self.item["id"], "output_index": self.output_index, _KINDS[self.kind].position: 0}

    @property
    def whole(self) -> dict[str, Any]:
        """The part so far."""
        text = "".join(self.texts)
        if self.kind == "output_text":
            return {**text_part(text), "annotations": [*self.annotations], "logprobs": [*self.logprobs]}
        return {"type": self.kind, _KINDS[self.kind].field: text}


@dataclass(slots=True)
class _OpenCall:
    """A call that is being streamed: other calls may begin before it ends."""

    item: dict[str, Any]
    output_index: int
    texts: list[str] = field(default_factory=list[str])


class EventWriter:
    """Makes the events of one stream.

    Args:
        body: The body of the request.
        model: Returns the model that answers, which is known from the first chunk on.
    """

    def __init__(self, body: Mapping[str, Any], model: Callable[[], str | None]) -> None:
        self._body, self._model = body, model
        self._customs = custom_tools(body)
        self._head: dict[str, Any] | None = None
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._part: _OpenPart | None = None
        self._calls: dict[int, _OpenCall] = {}

    def write(self, chunk: LLMChunk) -> Iterator[OpenAIObject]:
        """Return the events for a chunk: the provider's own, or what is made of ours."""
        last: Any = None
        events = event_bodies(chunk.raw) if isinstance(chunk.raw, tuple) else self._make(chunk)
        for last in map(event_of, events):
            if chunk.finish_reason is not None and isinstance(response := last.get("response"), OpenAIObject):
                last.unified_llm = with_record(response, chunk).unified_llm
            yield last

    def _event(self, kind: str, **fields: Any) -> dict[str, Any]:
        self._number += 1
        return {"type": kind, "sequence_number": self._number - 1, **fields}

    def _make(self, chunk: LLMChunk) -> Iterator[dict[str, Any]]:
        if self._head is None:
            self._head = head_of(self._body, self._model() or chunk.model or "")
            yield self._event("response.created", response=self._head)
            yield self._event("response.in_progress", response=self._head)
        if chunk.reasoning:
            yield from self._extend("summary_text", chunk.reasoning)
        if chunk.content:
            yield from self._extend("output_text", chunk.content, tokens_of(chunk.logprobs))
        if chunk.refusal:
            yield from self._extend("refusal", chunk.refusal)
        if self._part is not None and self._part.kind == "output_text":
            for annotation in write_annotations(chunk.citations):
                self._part.annotations.append(annotation)
                index = len(self._part.annotations) - 1
                yield self._event(
                    "response.output_text.annotation.added",
                    **self._part.address,
                    annotation_index=index,
                    annotation=annotation,
                )
        for call in chunk.tool_calls:
            yield from self._extend_call(call)
        if chunk.finish_reason is not None:
            yield from self._finish(chunk)

    def _extend(self, kind: str, text: str, logprobs: list[dict[str, Any]] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the events for more text of a kind; text of another kind ends what came before."""
        part = self._part
        if part is None or part.kind != kind:
            yield from self._close_part()
            item = reasoning_item(None, None) if kind == "summary_text" else message_item()
            part = self._part = _OpenPart(kind, item, len(self._output))
            yield from self._begin(item)
            yield self._event(f"{_KINDS[kind].part}.added", **part.address, part=part.whole)
        part.texts.append(text)
        further: dict[str, Any] = {}
        if kind == "output_text":
            part.logprobs += logprobs or []
            further = {"logprobs": logprobs or []}
        yield self._event(f"{_KINDS[kind].text}.delta", **part.address, delta=text, **further)

    def _begin(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self._output.append(item)
        yield self._event("response.output_item.added", output_index=len(self._output) - 1, item=item)

    def _end(self, index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self._output[index] = item
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _close_part(self) -> Iterator[dict[str, Any]]:
        part, self._part = self._part, None
        if part is None:
            return
        whole, kind = part.whole, _KINDS[part.kind]
        further = {"logprobs": part.logprobs} if part.kind == "output_text" else {}
        yield self._event(f"{kind.text}.done", **part.address, **{kind.field: whole[kind.field]}, **further)
        yield self._event(f"{kind.part}.done", **part.address, part=whole)
        done = {"summary": [whole]} if part.kind == "summary_text" else {"content": [whole], "status": "completed"}
        yield from self._end(part.output_index, {**part.item, **done})

    def _extend_call(self, chunk: ToolCallChunk) -> Iterator[dict[str, Any]]:
        call = self._calls.get(chunk.index)
        if call is None:
            yield from self._close_part()
            begun = ToolCall(chunk.id or f"call_{chunk.index}", chunk.name or "", raw_arguments="")
            item = call_item(begun, custom=begun.name in self._customs)
            item |= {"status": "in_progress", "arguments" if "arguments" in item else "input": ""}
            call = self._calls[chunk.index] = _OpenCall(item, len(self._output))
            yield from self._begin(item)
        if chunk.arguments:
            call.texts.append(chunk.arguments)
            if "arguments" in call.item:
                address = {"item_id": call.item["id"], "output_index": call.output_index}
                yield self._event("response.function_call_arguments.delta", **address, delta=chunk.arguments)

    def _close_call(self, call: _OpenCall) -> Iterator[dict[str, Any]]:
        item, address = call.item, {"item_id": call.item["id"], "output_index": call.output_index}
        whole = ToolCall.parse(item["call_id"], item["name"], "".join(call.texts))
        if "arguments" in item:
            done = {"arguments": whole.raw_arguments or "{}"}
            yield self._event("response.function_call_arguments.done", **address, name=item["name"], **done)
        else:  # the text is escaped in the arguments, so that it is known at the end alone
            done = {"input": call_item(whole, custom=True)["input"]}
            yield self._event("response.custom_tool_call_input.delta", **address, delta=done["input"])
            yield self._event("response.custom_tool_call_input.done", **address, **done)
        yield from self._end(call.output_index, {**item, **done, "status": "completed"})

    def _finish(self, chunk: LLMChunk) -> Iterator[dict[str, Any]]:
        yield from self._close_part()
        for call in self._calls.values():
            yield from self._close_call(call)
        if chunk.provider_state is not None:
            item = reasoning_item(None, chunk.provider_state)
            yield from self._begin(item)
            yield from self._end(len(self._output) - 1, item)
        if not any(item["type"] != "reasoning" for item in self._output):
            yield from self._extend("output_text", "")
            yield from self._close_part()
        end = end_of(chunk.finish_reason, self._output, chunk.usage)
        yield self._event(f"response.{end['status']}", response={**(self._head or {}), **end})
