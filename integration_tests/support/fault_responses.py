"""What servers say in the fault cases, as bytes: answers, events, and the ways to frame them."""

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
    """JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def body(text: str = FIRST, **message: Any) -> dict[str, Any]:
    """A whole answer."""
    said = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
    return {"id": "r-1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": USAGE}


def answer(text: str = FIRST, *headers: str, **message: Any) -> bytes:
    """The response that carries it."""
    return ok(dump(body(text, **message)), *headers)


def event(value: object) -> bytes:
    """One event."""
    return b"data: " + dump(value) + b"\n\n"


def delta(text: str = "", *, reason: str | None = None, **fields: Any) -> bytes:
    """One event of an answer."""
    choice = {"index": 0, "delta": {"content": text, **fields}, "finish_reason": reason}
    return event({"id": "r-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]})


ROLE: Final = delta(role="assistant")
END: Final = delta(reason="stop") + event({"id": "r-1", "model": "m", "choices": [], "usage": USAGE}) + DONE


def events(text: str = FIRST) -> bytes:
    """A stream, word by word."""
    words = text.split(" ")
    return ROLE + b"".join(delta(word if last else f"{word} ") for word, last in _flag_last(words)) + END


def _flag_last(words: Sequence[str]) -> list[tuple[str, bool]]:
    return [(word, index == len(words) - 1) for index, word in enumerate(words)]


def streamed(text: str = FIRST) -> bytes:
    """The response that carries a stream."""
    return stream(events(text))


def stream(data: bytes, *headers: str) -> bytes:
    """A whole response of this data, as a stream."""
    return head(CHUNKED, *headers) + chunk(data) + LAST_CHUNK


def begun(data: bytes, framing: str = CHUNKED) -> bytes:
    """The beginning of a response that says this and then could go on."""
    return head(*([framing] if framing else [])) + (chunk(data) if data and framing == CHUNKED else data)


def error(message: str, **fields: Any) -> dict[str, Any]:
    """An error body as OpenAI writes it."""
    return {"error": {"message": message, "type": None, "code": None, "param": None, **fields}}


def refusal(
    status: str, said: Mapping[str, Any] | bytes, *headers: str, content_type: str = "application/json"
) -> bytes:
    """A response that refuses."""
    return ok(said if isinstance(said, bytes) else dump(said), *headers, status=status, content_type=content_type)
