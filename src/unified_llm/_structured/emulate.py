"""JSON from models whose provider does not promise any: by a forced tool call, or by asking for it and checking.

A request for JSON is rewritten to what a target does have, and its answer back to what was asked for. Whoever asked
sees JSON text, whichever way it came; an answer that does not fit is a failure of kind ``invalid``, so that it is asked
for again, or of another target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm._lib.json_schema import inlined, is_open, shapes
from unified_llm._structured.extract_json import JSONExtractor, problem, spot
from unified_llm.types.messages import Message, ResponseFormat, Tool
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

Way: TypeAlias = Literal["tool", "prompt"]

_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}
_CUT: Final = ("length", "content_filter")  # an answer that was cut off is handed on as it is, as always


@dataclass(frozen=True, slots=True)
class Emulation:
    """A request as a target can take it, and how to read its answer."""

    request: LLMRequest
    way: Way
    schema: Mapping[str, Any]

    def reader(self) -> EmulatedOutput:
        """What turns the events of one exchange back. Used once."""
        return EmulatedOutput(self)


def emulate(request: AnyRequest, target: Target) -> Emulation | None:
    """How a request for JSON is put to a target that has no such thing; None where nothing need be done.

    A model object of a framework is left alone: its own integration knows best.
    """
    if not isinstance(request, LLMRequest) or request.response_format is None or target.format == "wrapped":
        return None
    wanted, able = request.response_format, target.features
    if target.quirks.closed_schemas and (wanted.schema is None or is_open(wanted.schema)):
        able -= {"json_schema"}
    if ("json_object" if wanted.schema is None else "json_schema") in able:
        return None
    schema = _ANY_OBJECT if wanted.schema is None else wanted.schema
    if wanted.schema is None and "json_schema" in able:
        # Some servers know schemas alone; this one fits every object.
        any_object = ResponseFormat(schema, wanted.name, strict=False)
        return Emulation(replace(request, response_format=any_object), "prompt", schema)
    arguments = inlined(schema)
    if {"tools", "tool_choice"} <= able and not request.tools and arguments.get("type") == "object":
        tool = Tool(wanted.name, "Give the answer. Call this exactly once.", arguments, wanted.strict)
        forced = replace(request, response_format=None, tools=(tool,), tool_choice=tool.name, parallel_tool_calls=None)
        return Emulation(forced, "tool", schema)
    form = ResponseFormat() if "json_object" in able and shapes(schema) == frozenset({"object"}) else None
    messages = _instructed(request.messages, schema)
    return Emulation(replace(request, response_format=form, messages=messages), "prompt", schema)


def _instructed(messages: tuple[Message, ...], schema: Mapping[str, Any]) -> tuple[Message, ...]:
    """The conversation with the instruction at the end of what its system message says, or in one of its own."""
    try:
        shown = dump(schema)
    except JSONError:  # the request would have failed for it anyway, but not here
        shown = "{}"
    told = (
        "When you give your final answer, write one JSON value and nothing else: no explanation, no code fence. "
        f"It must conform to this JSON schema:\n{shown}"
    )
    first = messages[0] if messages else None
    if first is None or first.role != "system" or not isinstance(first.content, str):
        return (Message.system(told), *messages)
    return (replace(first, content=f"{first.content}\n\n{told}"), *messages[1:])


class EmulatedOutput:
    """Turns the events of one emulated exchange back into those of an answer in JSON."""

    def __init__(self, emulation: Emulation) -> None:
        """Nothing has been read yet."""
        self._emulation = emulation
        self._spotter = JSONExtractor(emulation.schema)
        self._said: list[str] = []  # what the model said
        self._told: list[str] = []  # what was handed on of it
        self._calls = self._refused = False

    def read(self, event: Event) -> Event | None:
        """What the event says in JSON; None where it says nothing of it."""
        if isinstance(event, Failure):
            return event
        if isinstance(event, Done):
            return self._whole(event) if isinstance(event.value, LLMResponse) else self._last(event)
        chunk = self._chunk(event)
        says = chunk.content or chunk.reasoning or chunk.refusal or chunk.tool_calls or chunk.citations
        return chunk if says else None

    def _chunk(self, chunk: LLMChunk) -> LLMChunk:
        self._calls = self._calls or bool(chunk.tool_calls)
        self._refused = self._refused or bool(chunk.refusal)
        self._said.append(chunk.content)
        if self._emulation.way == "prompt":
            text = self._spotter.take(chunk.content) if chunk.content else ""
        else:  # of several calls, which nobody asked for, the first is the answer
            text = "".join(fragment.arguments for fragment in chunk.tool_calls if fragment.index == 0)
            chunk = replace(chunk, tool_calls=())
        self._told.append(text)
        return replace(chunk, content=text)

    def _last(self, done: Done) -> Done | Failure:
        """The end of a stream, with what was held back: words beside calls, or the answer, if it was found so late."""
        last = self._chunk(done.value)
        by_tool = self._emulation.way == "tool"
        if not any(self._told) and not (by_tool and self._calls):
            said = "".join(self._said)
            self._told.append(said if self._calls else spot(said, self._emulation.schema))
            last = replace(last, content=self._told[-1])
        if by_tool:
            last = replace(last, finish_reason=_reason(last))
        if self._refused or last.finish_reason in _CUT or (self._calls and not by_tool):
            return replace(done, value=last)
        return self._wrong("".join(self._told)) or replace(done, value=last)

    def _whole(self, done: Done) -> Done | Failure:
        answers = [self._answer(each) for each in (done.value, *done.value.alternatives)]
        for each in answers:
            if isinstance(each, Failure):
                return each
        first, *others = (each for each in answers if isinstance(each, LLMResponse))
        return replace(done, value=replace(first, alternatives=tuple(others)))

    def _answer(self, answer: LLMResponse) -> LLMResponse | Failure:
        calls = answer.tool_calls
        if self._emulation.way == "tool":
            text = calls[0].raw_arguments if calls else spot(answer.content, self._emulation.schema)
            answer = replace(answer, content=text, tool_calls=(), finish_reason=_reason(answer))
        elif not calls:
            answer = replace(answer, content=spot(answer.content, self._emulation.schema))
        if answer.tool_calls or answer.refusal or answer.finish_reason in _CUT:
            return answer
        return self._wrong(answer.content) or answer

    def _wrong(self, text: str) -> Failure | None:
        wrong = problem(text, self._emulation.schema)
        return Failure("invalid", detail=wrong) if wrong else None


def _reason(answer: LLMResponse | LLMChunk) -> Any:
    return "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason
