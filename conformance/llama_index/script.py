"""What a scripted model does with a request, and how that looks in OpenAI's chat format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any, Literal, TypeAlias

from integration_tests.support.upstream_schema import ChatBody, ObjectFormat, SchemaFormat

JSON = dict[str, Any]
USAGE = {"prompt_tokens": 137, "completion_tokens": 59, "total_tokens": 196}


@dataclass(frozen=True)
class Call:
    """A tool call; ``arguments`` is the JSON that the model wrote, or what it wrote in place of it."""

    name: str
    arguments: str | None
    id: str | None = "call_one"


@dataclass(frozen=True)
class Say:
    """An answer; with ``in_turns``, fragments of parallel calls alternate in a stream."""

    text: str | None = None
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    reasoning_field: str = "reasoning_content"
    in_turns: bool = False


@dataclass(frozen=True)
class Refuse:
    """An error status."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Break:
    """A stream that breaks after some chunks: the connection drops, the stream just ends, or an error is sent in it."""

    manner: Literal["dropped", "ended", "told"]
    said: str = "Half of an answ"


@dataclass(frozen=True)
class Hang:
    """No answer, for some seconds; then the connection is closed."""

    seconds: float = 3.0


Step: TypeAlias = Say | Refuse | Break | Hang
Answer: TypeAlias = Step | Callable[[ChatBody], Step]


def shaped(value: JSON, *, obliging: bool = True) -> Callable[[ChatBody], Say]:
    """A model that gives a JSON object in the way that it is asked for: by schema, as a tool's arguments, or in words.

    Args:
        value: The object.
        obliging: Whether it calls a tool that it is offered and may leave, rather than chat; and whether it answers in
            JSON where no more than words ask for that.
    """

    def answer(body: ChatBody) -> Say:
        tools = body.tools or []
        if isinstance(body.response_format, SchemaFormat | ObjectFormat):
            return Say(json.dumps(value))
        if tools and (obliging or body.tool_choice not in {None, "auto", "none"}):
            return Say(calls=(Call(tools[0].function.name, json.dumps(value)),))
        return Say(json.dumps(value) if obliging and not tools else "I would rather talk about the weather.")

    return answer


def completion(body: ChatBody, said: Say) -> JSON:
    """An answer in one body."""
    message: JSON = {"role": "assistant", "content": said.text}
    if said.reasoning:
        message[said.reasoning_field] = said.reasoning
    if said.calls:
        message["tool_calls"] = [_call(call, call.arguments) for call in said.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(said)}
    return {**_envelope(body, "chat.completion"), "choices": [choice], "usage": USAGE}


def chunks(body: ChatBody, said: Say) -> Iterator[JSON]:
    """An answer as a stream."""
    yield _chunk(body, {"role": "assistant", "content": "" if said.text is not None else None})
    for piece in _pieces(said.reasoning):
        yield _chunk(body, {said.reasoning_field: piece})
    for piece in _pieces(said.text or ""):
        yield _chunk(body, {"content": piece})
    parts = [list(_parts(index, call)) for index, call in enumerate(said.calls)]
    for part in chain(*zip_longest(*parts)) if said.in_turns else chain(*parts):
        if part:
            yield _chunk(body, {"tool_calls": [part]})
    yield _chunk(body, {}, _finish(said))
    if body.stream_options and body.stream_options.include_usage:
        yield {**_envelope(body, "chat.completion.chunk"), "choices": [], "usage": USAGE}


def broken(body: ChatBody, step: Break) -> Iterator[JSON]:
    """The part of a stream that comes before it breaks."""
    yield _chunk(body, {"role": "assistant", "content": ""})
    for piece in _pieces(step.said):
        yield _chunk(body, {"content": piece})


def _parts(index: int, call: Call) -> Iterator[JSON]:
    yield {"index": index, **_call(call, "")}
    for piece in _pieces(call.arguments or ""):
        yield {"index": index, "function": {"arguments": piece}}


def _pieces(text: str) -> list[str]:
    return re.findall(r".{1,4}", text, re.DOTALL)


def _chunk(body: ChatBody, delta: JSON, finish_reason: str | None = None) -> JSON:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {**_envelope(body, "chat.completion.chunk"), "choices": [choice]}


def _call(call: Call, arguments: str | None) -> JSON:
    named = {"id": call.id} if call.id is not None else {}
    return {**named, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _finish(said: Say) -> str:
    return "tool_calls" if said.calls else "stop"


def _envelope(body: ChatBody, kind: str) -> JSON:
    return {"id": "chatcmpl-scripted", "object": kind, "created": 1_760_000_000, "model": body.model}
