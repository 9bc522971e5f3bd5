"""Helpers of the tests of Ollama's and Cohere's formats: fixtures, bodies, and streams cut into pieces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.codec_checks import target
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.ndjson import LineSplitter
from unified_llm._lib.sse import SSESplitter
from unified_llm.types import ImagePart, LLMRequest, Message, TextPart, ToolCall

PNG = b"\x89PNG\r\n\x1a\n"
CALL = ToolCall("call_1", "weather", {"city": "Rome"}, '{"city": "Rome"}')
PICTURE = Message("user", (TextPart("What is this?"), ImagePart(data=PNG, detail="low")))
HELLO = LLMRequest((Message.user("Hello"),))


@dataclass(frozen=True)
class FormatUnderTest:
    """One wire format, under test."""

    format: str

    def names(self, prefix: str) -> list[str]:
        return sorted(path.stem for path in self.folder.glob(f"{prefix}_*.json"))

    def fixture(self, name: str) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        return read

    @property
    def folder(self) -> Path:
        return Path(__file__).parent.parent / "fixtures" / self.format

    def body(self, request: Any, where: Target | None = None) -> Any:
        """Return the JSON body that is sent."""
        return json.loads(codec_for(self.format).encode(request, where or target(self.format)).body)

    def messages(self, *messages: Message, where: Target | None = None) -> Any:
        return self.body(LLMRequest(messages), where)["messages"]

    def whole(self, body: Any, request: Any = HELLO, where: Target | None = None) -> Any:
        """Decode a body: return the answer, or the failure."""
        outcome = codec_for(self.format).decode(request, where or target(self.format), body)
        return outcome.value if isinstance(outcome, Done) else outcome

    def bytes_of(self, events: Sequence[Any]) -> bytes:
        """Write the events as the server does."""
        texts = [event if isinstance(event, str) else json.dumps(event, ensure_ascii=False) for event in events]
        if codec_for(self.format).framing == "lines":
            return "".join(f"{text}\n" for text in texts).encode()
        names = [event["type"] if isinstance(event, dict) and "type" in event else "message" for event in events]
        return "".join(f"event: {name}\ndata: {text}\n\n" for name, text in zip(names, texts, strict=True)).encode()

    def play(self, *pieces: bytes) -> list[Any]:
        """Return all outputs of a stream, its end included."""
        codec = codec_for(self.format)
        splitter = LineSplitter() if codec.framing == "lines" else SSESplitter()
        decoder = codec.decoder(HELLO, target(self.format))
        out: list[Any] = []
        for events in (*map(splitter.feed, pieces), splitter.close()):
            for event in events:
                out.extend(decoder.feed(event))
        return out if out and isinstance(out[-1], Done | Failure) else [*out, decoder.finish()]

    def play_events(self, events: Sequence[Any]) -> list[Any]:
        return self.play(self.bytes_of(events))

    def failure(self, status: int, body: Any) -> Failure:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return codec_for(self.format).failure(status, {}, data, target(self.format))


def result(text: str = "sunny", identifier: str = "call_1", **fields: Any) -> Message:
    return Message("tool", text, tool_call_id=identifier, **fields)
