"""Emulated structured output for targets without it: by a forced tool call, or by prompt, with validation.

A request for JSON is rewritten to features that the target has, and its response is converted back, so that callers get
JSON text in either mode. A response that does not conform is a failure of kind ``invalid``: the policy then retries, or
fails over to another target.
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
from unified_llm._lib.json_schema import inline_reference, is_open, json_types
from unified_llm._structured.extract_json import JSONExtractor, check_json, find_json
from unified_llm.types.messages import Message, ResponseFormat, Tool
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

OutputMode: TypeAlias = Literal["tool", "prompt"]

_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}
_CUT_OFF: Final = ("length", "content_filter")  # a response that was cut off is passed on without validation


@dataclass(frozen=True, slots=True)
class Emulation:
    """A request that the target supports, and how to convert its response."""

    request: LLMRequest
    mode: OutputMode
    schema: Mapping[str, Any]

    def output_reader(self) -> EmulatedOutput:
        """Return a converter for the events of one exchange. Used once."""
        return EmulatedOutput(self)


def emulate(request: AnyRequest, target: Target) -> Emulation | None:
    """Rewrite a request for JSON for a target without structured output; None where no emulation is needed.

    Requests to wrapped models are not rewritten: the framework's integration handles them.
    """
    if not isinstance(request, LLMRequest) or request.response_format is None or target.format == "wrapped":
        return None
    response_format, features = request.response_format, target.features
    if target.quirks.closed_schemas and (response_format.schema is None or is_open(response_format.schema)):
        features -= {"json_schema"}
    if ("json_object" if response_format.schema is None else "json_schema") in features:
        return None
    schema = _ANY_OBJECT if response_format.schema is None else response_format.schema
    if response_format.schema is None and "json_schema" in features:
        # Some servers support only schemas; this one accepts every object.
        any_object = ResponseFormat(schema, response_format.name, strict=False)
        return Emulation(replace(request, response_format=any_object), "prompt", schema)
    arguments = inline_reference(schema)
    if {"tools", "tool_choice"} <= features and not request.tools and arguments.get("type") == "object":
        tool = Tool(response_format.name, "Give the answer. Call this exactly once.", arguments, response_format.strict)
        forced = replace(request, response_format=None, tools=(tool,), tool_choice=tool.name, parallel_tool_calls=None)
        return Emulation(forced, "tool", schema)
    json_mode = ResponseFormat() if "json_object" in features and json_types(schema) == frozenset({"object"}) else None
    messages = _add_instruction(request.messages, schema)
    return Emulation(replace(request, response_format=json_mode, messages=messages), "prompt", schema)


def _add_instruction(messages: tuple[Message, ...], schema: Mapping[str, Any]) -> tuple[Message, ...]:
    """Append the instruction to the system message of the conversation, or add a system message with it."""
    try:
        schema_text = dump(schema)
    except JSONError:  # such a schema cannot be sent as a field either, but errors are not raised here
        schema_text = "{}"
    instruction = (
        "When you give your final answer, write one JSON value and nothing else: no explanation, no code fence. "
        f"It must conform to this JSON schema:\n{schema_text}"
    )
    first = messages[0] if messages else None
    if first is None or first.role != "system" or not isinstance(first.content, str):
        return (Message.system(instruction), *messages)
    return (replace(first, content=f"{first.content}\n\n{instruction}"), *messages[1:])


class EmulatedOutput:
    """Converts the events of one emulated exchange to those of a response in JSON."""

    def __init__(self, emulation: Emulation) -> None:
        self._emulation = emulation
        self._extractor = JSONExtractor(emulation.schema)
        self._received: list[str] = []  # text of the model
        self._emitted: list[str] = []  # text passed on to the caller
        self._has_calls = self._has_refusal = False

    def read(self, event: Event) -> Event | None:
        """Convert one event; None if nothing of it is passed on."""
        if isinstance(event, Failure):
            return event
        if isinstance(event, Done):
            return self._read_response(event) if isinstance(event.value, LLMResponse) else self._read_end(event)
        chunk = self._read_chunk(event)
        has_content = chunk.content or chunk.reasoning or chunk.refusal or chunk.tool_calls or chunk.citations
        return chunk if has_content else None

    def _read_chunk(self, chunk: LLMChunk) -> LLMChunk:
        self._has_calls = self._has_calls or bool(chunk.tool_calls)
        self._has_refusal = self._has_refusal or bool(chunk.refusal)
        self._received.append(chunk.content)
        if self._emulation.mode == "prompt":
            text = self._extractor.feed(chunk.content) if chunk.content else ""
        else:  # of several calls, which the request does not allow for, the first counts
            text = "".join(fragment.arguments for fragment in chunk.tool_calls if fragment.index == 0)
            chunk = replace(chunk, tool_calls=())
        self._emitted.append(text)
        return replace(chunk, content=text)

    def _read_end(self, done: Done) -> Done | Failure:
        """Convert the end of a stream, adding text not emitted yet: beside tool calls, or JSON found only now."""
        last = self._read_chunk(done.value)
        by_tool = self._emulation.mode == "tool"
        if not any(self._emitted) and not (by_tool and self._has_calls):
            text = "".join(self._received)
            self._emitted.append(text if self._has_calls else find_json(text, self._emulation.schema))
            last = replace(last, content=self._emitted[-1])
        if by_tool:
            last = replace(last, finish_reason=_finish_reason(last))
        if self._has_refusal or last.finish_reason in _CUT_OFF or (self._has_calls and not by_tool):
            return replace(done, value=last)
        return self._check("".join(self._emitted)) or replace(done, value=last)

    def _read_response(self, done: Done) -> Done | Failure:
        answers = [self._convert(answer) for answer in (done.value, *done.value.alternatives)]
        for answer in answers:
            if isinstance(answer, Failure):
                return answer
        first, *others = (answer for answer in answers if isinstance(answer, LLMResponse))
        return replace(done, value=replace(first, alternatives=tuple(others)))

    def _convert(self, answer: LLMResponse) -> LLMResponse | Failure:
        calls = answer.tool_calls
        if self._emulation.mode == "tool":
            text = calls[0].raw_arguments if calls else find_json(answer.content, self._emulation.schema)
            answer = replace(answer, content=text, tool_calls=(), finish_reason=_finish_reason(answer))
        elif not calls:
            answer = replace(answer, content=find_json(answer.content, self._emulation.schema))
        if answer.tool_calls or answer.refusal or answer.finish_reason in _CUT_OFF:
            return answer
        return self._check(answer.content) or answer

    def _check(self, text: str) -> Failure | None:
        problem = check_json(text, self._emulation.schema)
        return Failure("invalid", detail=problem) if problem else None


def _finish_reason(answer: LLMResponse | LLMChunk) -> Any:
    return "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason
