"""Streamed answers: typed events in, chunks out, and the end only when the provider has said so.

There is no ``[DONE]``: the last event carries the whole answer once more. What was streamed is not taken from it again;
what a server did not stream is said then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.openai_responses.provider_state import keep_state
from unified_llm._formats.openai_responses.response import (
    BETWEEN_THOUGHTS,
    Answer,
    finish_reason,
    given_up,
    read_citation,
    read_output,
    read_usage,
)
from unified_llm._formats.response_fields import read_logprobs
from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.responses import LLMChunk

Events: TypeAlias = Sequence[LLMChunk | Done | Failure]
_Part: TypeAlias = tuple[str | int | None, int | None, int | None]
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


class ResponseStream:
    """The decoder of one stream."""

    __slots__ = ("_calls", "_ended", "_items", "_length", "_places", "_readers", "_said", "_target", "_thought")

    def __init__(self, target: Target) -> None:
        """Nothing has been read yet."""
        self._target = target
        self._calls = _Calls()
        self._items: list[object] = []  # those that are done
        self._places: dict[_Part, int] = {}  # a part of the answer → where its text begins
        self._length = 0
        self._thought: _Part | None = None  # the part of the reasoning that was streamed last
        self._said: set[str] = set()  # the fields of chunks that were streamed
        self._ended = False
        self._readers: Mapping[str, Callable[[dict[str, Any]], LLMChunk | None]] = {
            "response.output_text.delta": self._text,
            "response.output_text.annotation.added": self._annotation,
            "response.refusal.delta": self._refusal,
            "response.reasoning_summary_text.delta": self._reasoning,
            "response.reasoning_text.delta": self._reasoning,
            "response.output_item.added": self._item_begins,
            "response.output_item.done": self._item_ends,
            "response.function_call_arguments.delta": self._arguments,
            "response.function_call_arguments.done": self._all_arguments,
        }

    def feed(self, event: ServerSentEvent) -> Events:
        """Chunks of this event; ``Done`` at the last; nothing after that or after a failure."""
        if self._ended or not event.data or event.data.strip() == "[DONE]":
            return ()
        try:
            said = parse(event.data)
        except JSONError:
            return self._fail(Failure("malformed"))
        if not is_object(said):
            return self._fail(Failure("malformed"))
        kind = said.get("type")
        if kind == "error" or event.event == "error" or (said.get("error") and kind not in _ENDS):
            return self._fail(read_error(said, self._target))
        if isinstance(kind, str) and kind in _ENDS:
            return self._end(object_or_empty(said.get("response")), kind)
        reader = self._readers.get(kind) if isinstance(kind, str) else None
        chunk = reader(said) if reader else None
        if chunk is None:
            return ()
        self._said.add(_field(chunk))
        return (chunk,)

    def finish(self) -> Done | Failure:
        """The bytes ended: without the last event nobody knows whether that was all."""
        return Failure("truncated")

    def _text(self, said: dict[str, Any]) -> LLMChunk | None:
        text = said.get("delta")
        if not isinstance(text, str) or not text:
            return None
        self._places.setdefault(_part_of(said), self._length)
        self._length += len(text)
        return LLMChunk(content=text, logprobs=read_logprobs(said.get("logprobs")))

    def _annotation(self, said: dict[str, Any]) -> LLMChunk | None:
        citation = read_citation(said.get("annotation"), self._places.get(_part_of(said), 0))
        return LLMChunk(citations=(citation,)) if citation else None

    def _refusal(self, said: dict[str, Any]) -> LLMChunk | None:
        text = text_or_none(said.get("delta"))
        return LLMChunk(refusal=text) if text else None

    def _reasoning(self, said: dict[str, Any]) -> LLMChunk | None:
        text = text_or_none(said.get("delta"))
        if not text:
            return None
        part = _part_of(said)
        is_next = self._thought is not None and self._thought != part
        self._thought = part
        return LLMChunk(reasoning=BETWEEN_THOUGHTS + text if is_next else text)

    def _item_begins(self, said: dict[str, Any]) -> LLMChunk | None:
        item = said.get("item")
        if not is_object(item) or item.get("type") != "function_call":
            return None
        return _chunk(self._calls.begin(item, said))

    def _item_ends(self, said: dict[str, Any]) -> LLMChunk | None:
        item = said.get("item")
        self._items.append(item)
        if not is_object(item) or item.get("type") != "function_call":
            return None
        named = {**said, "item_id": item.get("id"), "call_id": item.get("call_id")}
        if not self._calls.knows(named):
            return _chunk(self._calls.begin(item, said))
        return _chunk(self._calls.rest(named, item.get("arguments")))

    def _arguments(self, said: dict[str, Any]) -> LLMChunk | None:
        return _chunk(self._calls.more(said, said.get("delta")))

    def _all_arguments(self, said: dict[str, Any]) -> LLMChunk | None:
        return _chunk(self._calls.rest(said, said.get("arguments")))

    def _fail(self, failure: Failure) -> Sequence[Failure]:
        self._ended = True
        return (failure,)

    def _end(self, response: dict[str, Any], kind: str) -> Events:
        self._ended = True
        response = {"status": kind.removeprefix("response."), **response}
        failure = given_up(response, self._target)
        if failure is not None:
            return (failure,)
        whole = response.get("output")
        output: list[Any] = whole if is_list(whole) and whole else self._items
        answer = read_output(output)
        chunks = [chunk for chunk in _all_at_once(answer) if _field(chunk) not in self._said]
        reason = finish_reason(response, has_calls=self._calls.any or bool(answer.calls))
        if reason in {"stop", "tool_calls"} and not self._said and answer.is_empty:
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


class _Calls:
    """Numbers the calls of one stream. Events name a call by its item, by its own identifier, or by its place."""

    __slots__ = ("_given", "_identifiers", "_numbers")

    def __init__(self) -> None:
        """No call has begun."""
        self._numbers: dict[str | int, int] = {}  # any of these names → the number of the call
        self._given: list[str] = []  # the arguments so far
        self._identifiers = Identifiers()

    @property
    def any(self) -> bool:
        """Whether a call has begun."""
        return bool(self._given)

    def knows(self, said: Mapping[str, Any]) -> bool:
        """Whether the call that an event is about has begun."""
        return self._number(said) is not None

    def begin(self, item: Mapping[str, Any], said: Mapping[str, Any]) -> ToolCallChunk:
        """The first fragment of a call."""
        number = len(self._given)
        for name in (text_or_none(item.get("id")), text_or_none(item.get("call_id")), _index(said, "output_index")):
            if name is not None:
                self._numbers[name] = number
        arguments = text_or_none(item.get("arguments")) or ""
        self._given.append(arguments)
        identifier = self._identifiers.take(text_or_none(item.get("call_id")) or item.get("id"))
        return ToolCallChunk(number, identifier, text_or_none(item.get("name")) or "", arguments)

    def more(self, said: Mapping[str, Any], arguments: object) -> ToolCallChunk | None:
        """A fragment of the arguments."""
        number = self._number(said)
        if number is None or not isinstance(arguments, str) or not arguments:
            return None
        self._given[number] += arguments
        return ToolCallChunk(number, arguments=arguments)

    def rest(self, said: Mapping[str, Any], arguments: object) -> ToolCallChunk | None:
        """What the whole arguments say beyond the fragments: all of them, where a server streams none."""
        number = self._number(said)
        if number is None or not isinstance(arguments, str) or not arguments.startswith(self._given[number]):
            return None
        return self.more(said, arguments[len(self._given[number]) :])

    def _number(self, said: Mapping[str, Any]) -> int | None:
        names = (text_or_none(said.get("item_id")), text_or_none(said.get("call_id")), _index(said, "output_index"))
        return next((self._numbers[name] for name in names if name is not None and name in self._numbers), None)


def _chunk(call: ToolCallChunk | None) -> LLMChunk | None:
    return LLMChunk(tool_calls=(call,)) if call else None


def _index(said: Mapping[str, Any], name: str) -> int | None:
    index = said.get(name)
    return index if isinstance(index, int) else None


def _part_of(said: Mapping[str, Any]) -> _Part:
    """Which part of which item an event is about."""
    item = text_or_none(said.get("item_id")) or _index(said, "output_index")
    return (item, _index(said, "content_index"), _index(said, "summary_index"))


def _field(chunk: LLMChunk) -> str:
    """Which of its fields a chunk is about: of these it has one."""
    named = (("content", chunk.content), ("reasoning", chunk.reasoning), ("tool_calls", chunk.tool_calls))
    return next((name for name, value in named if value), "refusal" if chunk.refusal else "citations")


def _all_at_once(answer: Answer) -> Iterator[LLMChunk]:
    """A whole answer in chunks."""
    if answer.reasoning:
        yield LLMChunk(reasoning=BETWEEN_THOUGHTS.join(answer.reasoning))
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
