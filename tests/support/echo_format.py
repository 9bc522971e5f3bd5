"""A minimal wire format, so that the transport is tested without a provider's format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from unified_llm._core.codec import AnyRequest, Framing, MediaDecoder, StreamedMedia, WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types import EmbeddingRequest, EmbeddingResponse, LLMChunk, LLMRequest, LLMResponse, Message

CANARY = "sk-CANARY-7f3a"

DONE = b"data: [DONE]\n\n"


def text_event(content: str) -> bytes:
    """Return the server-sent event of one chunk."""
    return b"data: " + json.dumps({"text": content}).encode() + b"\n\n"


FINISH = b'data: {"finish": "stop"}\n\n'


def chat_request(content: str = "hello", *, stream: bool = False) -> LLMRequest:
    return LLMRequest((Message.user(content),), stream=stream)


def target_at(url: str, **fields: Any) -> Target:
    return Target(provider="echo", model="m", format="echo", base_url=url, **fields)


class EchoDecoder:
    def __init__(self) -> None:
        self.finished = False
        self.kept = 0

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        if event.data == "[DONE]":
            return [Done(LLMChunk(finish_reason="stop", model="m"))]
        body = json.loads(event.data)
        if "error" in body:
            return [Failure("server", code=body["error"])]
        if "keep" in body:
            self.kept += len(body["keep"])
            return []
        if "finish" in body:
            self.finished = True
            return []
        return [LLMChunk(content=body["text"])]

    def finish(self) -> Done | Failure:
        return Done(LLMChunk(finish_reason="stop", model="m")) if self.finished else Failure("truncated")


class EchoCodec:
    """Codec that sends ``headers`` unchanged."""

    framing: Framing = "events"

    def __init__(self, headers: Sequence[tuple[str, str]] = (("authorization", f"Bearer {CANARY}"),)) -> None:
        self.headers = headers

    def encode(self, request: AnyRequest, target: Target) -> WireRequest:
        match request:
            case LLMRequest():
                body: Any = [message.text for message in request.messages]
            case EmbeddingRequest():
                body = list(request.texts)
            case _:
                return WireRequest("GET", target.base_url + "/models", self.headers)
        return WireRequest("POST", target.base_url + "/echo", self.headers, json.dumps(body).encode())

    def decode(self, request: AnyRequest, target: Target, body: Any) -> Done | Failure:
        if not isinstance(body, dict) or "text" not in body:
            return Failure("malformed")
        if isinstance(request, EmbeddingRequest):
            return Done(EmbeddingResponse([[1.0]]))
        return Done(LLMResponse(content=body["text"], model="m"))

    def decoder(self, request: LLMRequest, target: Target) -> EchoDecoder:
        return EchoDecoder()

    def media_decoder(self, request: StreamedMedia, target: Target) -> MediaDecoder:
        raise NotImplementedError

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        return Failure("server" if status >= 500 else "bad_request", detail=body.decode(errors="replace"))
