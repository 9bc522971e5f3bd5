"""Servers that hold any model: their answers in OpenAI's format and in Ollama's, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.codec_checks import join_tool_calls, target
from unified_llm._core.codec import Decoder
from unified_llm._core.outcome import Done
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.sse import ServerSentEvent
from unified_llm._providers.registry import ROWS
from unified_llm.types import LLMRequest, Message

ANY_MODEL_ROWS = [row.name for row in ROWS if row.quirks.any_model]
SERVERS = [name for name in ANY_MODEL_ROWS if name != "mlx"]


@dataclass(frozen=True)
class Answer:
    """What a caller gets; calls are pairs of name and arguments, all of them from the text where ``from_text``."""

    content: str
    reasoning: str | None = None
    finish_reason: str = "stop"
    calls: tuple[tuple[str, Any], ...] = ()
    from_text: bool = False


HELLO = LLMRequest((Message.user("Hello"),))


def decode(
    provider: str,
    text: str,
    end: Mapping[str, Any] | None = None,
    *,
    request: LLMRequest = HELLO,
    reasoning: str | None = None,
    **fields: Any,
) -> Answer:
    """Decode a whole answer with this text."""
    where, finish_reason = target(provider, **fields), dict(end or {}).get("finish_reason", "stop")
    message = {"role": "assistant", "content": text}
    if where.format == "ollama":
        body: Any = {"message": {**message, "thinking": reasoning}, "done": True, "done_reason": finish_reason}
        if request.as_text:
            body = {"response": text, "done": True, "done_reason": finish_reason}
    else:
        message |= {"reasoning_content": reasoning} if reasoning else {}
        body = {"choices": [{"message": message, "finish_reason": finish_reason}]}
    done = codec_for(where.format).decode(request, where, body)
    assert isinstance(done, Done), done
    answer = done.value
    calls = tuple((call.name, dict(call.arguments)) for call in answer.tool_calls)
    assert all(call.from_text for call in answer.tool_calls) == (done.text_tool_calls or not calls)
    return Answer(answer.content, answer.reasoning, answer.finish_reason, calls, done.text_tool_calls)


def text_event(text: str, finish_reason: str | None = None, provider: str = "vllm") -> ServerSentEvent:
    """Return an event of a stream with this text."""
    if provider == "ollama":
        end = {"done": True, "done_reason": finish_reason} if finish_reason else {"done": False}
        return ServerSentEvent(json.dumps({"message": {"role": "assistant", "content": text}, **end}), "message")
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return ServerSentEvent(json.dumps({"choices": [choice]}), "message")


def make_decoder(provider: str, request: LLMRequest, **fields: Any) -> Decoder:
    """Return a decoder of a stream of this server."""
    where = target(provider, **fields)
    return codec_for(where.format).decoder(request, where)


def stream(
    provider: str,
    text: str,
    end: Mapping[str, Any] | None = None,
    *,
    request: LLMRequest = HELLO,
    size: int = 3,
    **fields: Any,
) -> Answer:
    """Decode a stream with this text, in chunks of ``size`` characters."""
    decoder = make_decoder(provider, request, **fields)
    finish_reason = dict(end or {}).get("finish_reason", "stop")
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    out: list[Any] = []
    for piece in pieces:
        out += decoder.feed(text_event(piece, provider=provider))
    out += decoder.feed(text_event("", finish_reason, provider))
    *chunks, done = [*out, decoder.finish()] if provider != "ollama" else out
    assert isinstance(done, Done), done
    chunks.append(done.value)
    calls = join_tool_calls(chunks)
    fragments = [call for chunk in chunks for call in chunk.tool_calls]
    assert all(call.from_text for call in fragments) == (done.text_tool_calls or not fragments)
    return Answer(
        "".join(chunk.content for chunk in chunks),
        "".join(chunk.reasoning for chunk in chunks) or None,
        done.value.finish_reason,
        tuple((call.name, dict(call.arguments)) for call in calls),
        done.text_tool_calls,
    )
