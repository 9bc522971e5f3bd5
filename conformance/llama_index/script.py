"""Scripted replies of a model, and their form in OpenAI's chat format."""

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
    """A tool call; ``arguments`` is the text that the model wrote, JSON or not."""

    name: str
    arguments: str | None
    id: str | None = "call_one"


@dataclass(frozen=True)
class Say:
    """A whole answer; with ``interleaved``, fragments of parallel calls alternate in a stream."""

    text: str | None = None
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    reasoning_field: str = "reasoning_content"
    interleaved: bool = False


@dataclass(frozen=True)
class Refuse:
    """An error status."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Break:
    """A stream that breaks after some chunks: the connection drops, the stream just ends, or an error is sent in it."""

    manner: Literal["dropped", "ended", "error"]
    text: str = "Half of an answ"


@dataclass(frozen=True)
class Hang:
    """No answer for some seconds; then the connection is closed."""

    seconds: float = 3.0


Step: TypeAlias = Say | Refuse | Break | Hang
Answer: TypeAlias = Step | Callable[[ChatBody], Step]


def json_answer(value: JSON, *, obliging: bool = True) -> Callable[[ChatBody], Say]:
    """Return a model that answers with a JSON object as requested: by schema, as a tool's arguments, or by prompt.

    Args:
        value: The object.
        obliging: Whether it calls an optional tool rather than chat, and whether it answers in JSON if only the prompt
            asks for that.
    """

    def answer(body: ChatBody) -> Say:
        tools = body.tools or []
        if isinstance(body.response_format, SchemaFormat | ObjectFormat):
            return Say(json.dumps(value))
        if tools and (obliging or body.tool_choice not in {None, "auto", "none"}):
            return Say(calls=(Call(tools[0].function.name, json.dumps(value)),))
        return Say(json.dumps(value) if obliging and not tools else "I would rather talk about the weather.")

    return answer


def completion(body: ChatBody, reply: Say) -> JSON:
    """Return an answer as one body."""
    message: JSON = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message[reply.reasoning_field] = reply.reasoning
    if reply.calls:
        message["tool_calls"] = [_call(call, call.arguments) for call in reply.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    return {**_envelope(body, "chat.completion"), "choices": [choice], "usage": USAGE}


def chunks(body: ChatBody, reply: Say) -> Iterator[JSON]:
    """Yield an answer as the chunks of a stream."""
    yield _chunk(body, {"role": "assistant", "content": "" if reply.text is not None else None})
    for piece in _pieces(reply.reasoning):
        yield _chunk(body, {reply.reasoning_field: piece})
    for piece in _pieces(reply.text or ""):
        yield _chunk(body, {"content": piece})
    parts = [list(_parts(index, call)) for index, call in enumerate(reply.calls)]
    for part in chain(*zip_longest(*parts)) if reply.interleaved else chain(*parts):
        if part:
            yield _chunk(body, {"tool_calls": [part]})
    yield _chunk(body, {}, _finish(reply))
    if body.stream_options and body.stream_options.include_usage:
        yield {**_envelope(body, "chat.completion.chunk"), "choices": [], "usage": USAGE}


def broken(body: ChatBody, step: Break) -> Iterator[JSON]:
    """Yield the chunks of a stream before it breaks."""
    yield _chunk(body, {"role": "assistant", "content": ""})
    for piece in _pieces(step.text):
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
    call_id = {"id": call.id} if call.id is not None else {}
    return {**call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _finish(reply: Say) -> str:
    return "tool_calls" if reply.calls else "stop"


def _envelope(body: ChatBody, kind: str) -> JSON:
    return {"id": "chatcmpl-scripted", "object": kind, "created": 1_760_000_000, "model": body.model}
