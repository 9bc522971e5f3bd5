"""Responses of the servers in the fault cases, as bytes: bodies, events and their framing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from integration_tests.support.fault_server import CHUNKED, LAST_CHUNK, chunk, head, ok

FIRST: Final = "CANARY-answer of the first"
SECOND: Final = "CANARY-answer of the second"
DONE: Final = b"data: [DONE]\n\n"
USAGE: Final = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def dump(value: object) -> bytes:
    """A value as JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def body(text: str = FIRST, **message: Any) -> dict[str, Any]:
    """The body of a whole response."""
    assistant = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "message": assistant, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
    return {"id": "r-1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": USAGE}


def answer(text: str = FIRST, *headers: str, **message: Any) -> bytes:
    """An HTTP response with that body."""
    return ok(dump(body(text, **message)), *headers)


def event(value: object) -> bytes:
    """One event of a stream."""
    return b"data: " + dump(value) + b"\n\n"


def delta(text: str = "", *, reason: str | None = None, **fields: Any) -> bytes:
    """One event with a part of an answer."""
    choice = {"index": 0, "delta": {"content": text, **fields}, "finish_reason": reason}
    return event({"id": "r-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]})


ROLE: Final = delta(role="assistant")
END: Final = delta(reason="stop") + event({"id": "r-1", "model": "m", "choices": [], "usage": USAGE}) + DONE


def events(text: str = FIRST) -> bytes:
    """The events of a stream, one for each word."""
    words = text.split(" ")
    return ROLE + b"".join(delta(word if last else f"{word} ") for word, last in _flag_last(words)) + END


def _flag_last(words: Sequence[str]) -> list[tuple[str, bool]]:
    return [(word, index == len(words) - 1) for index, word in enumerate(words)]


def streamed(text: str = FIRST) -> bytes:
    """An HTTP response with such a stream."""
    return stream(events(text))


def stream(data: bytes, *headers: str) -> bytes:
    """A complete HTTP response with this data, chunked."""
    return head(CHUNKED, *headers) + chunk(data) + LAST_CHUNK


def begun(data: bytes, framing: str = CHUNKED) -> bytes:
    """An incomplete HTTP response: its head and this data."""
    return head(*([framing] if framing else [])) + (chunk(data) if data and framing == CHUNKED else data)


def error(message: str, **fields: Any) -> dict[str, Any]:
    """An error body as OpenAI writes it."""
    return {"error": {"message": message, "type": None, "code": None, "param": None, **fields}}


def refusal(
    status: str, contents: Mapping[str, Any] | bytes, *headers: str, content_type: str = "application/json"
) -> bytes:
    """An HTTP response with an error status."""
    return ok(
        contents if isinstance(contents, bytes) else dump(contents),
        *headers,
        status=status,
        content_type=content_type,
    )
