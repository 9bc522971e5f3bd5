"""Random HTTP responses from a seed: a recorded answer of some format, made wrong in JSON, in its events or in HTTP.

The same seed gives the same response. ``clean`` says that nothing was made wrong: the caller gets exactly the answer.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

from tests.support.recordings import CORRUPT_VALUES, MISSING, Corrupted, bodies, positions, streams
from tests.support.response_faults import (
    BITS,
    CODINGS,
    ENDLESS,
    HEADERS,
    INTERIM,
    ODD_HEADERS,
    STATUSES,
    STRANGE,
    TYPES,
)
from tests.support.scripted_sockets import Endless, Step

MODELS: Final = {
    "openai_chat": "openai-compatible/m",
    "anthropic": "anthropic/m",
    "gemini": "gemini/m",
    "ollama": "ollama/m",
    "cohere": "cohere/m",
    "openai_responses": "openai/gpt-5-pro",
}
"""A model of each format that decodes responses in its own way."""

FORGED: Final = "FORGED-ANSWER"
"""The text of responses that come after the end of the real one, and must never be returned."""

_LARGEST: Final = 20_000  # bytes of a recording that is used


@dataclass
class RandomResponse:
    """One response.

    Attributes:
        seed: What it was made from.
        format: The format of the target.
        way: How it is asked for.
        steps: What the connection does.
        payload: The body before it was compressed and framed.
        value: The JSON of a whole answer, or the events of a stream.
        clean: Nothing is wrong with it, and it ends.
        streams: The payload is a stream.
        notes: What was done to it.
    """

    seed: int
    format: str
    way: Literal["generate", "stream", "agenerate", "astream"]
    steps: list[Step] = field(default_factory=list)
    payload: bytes = b""
    value: Any = None
    clean: bool = True
    streams: bool = False
    notes: list[str] = field(default_factory=list)


@cache
def _bodies(format_name: str) -> list[dict[str, Any]]:
    return [body for _, body in bodies(format_name) if isinstance(body, dict) and len(json.dumps(body)) < _LARGEST]


@cache
def _streams(format_name: str) -> list[list[Any]]:
    return [events for _, events in streams(format_name) if len(json.dumps(events)) < _LARGEST]


def _gzip(data: bytes) -> bytes:
    """Compress without the time of day, so that a seed always makes the same bytes."""
    return gzip.compress(data, mtime=0)


class _Maker:
    """Makes one response."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - no secret
        format_name = self.draw.choice(list(MODELS))
        way = self.draw.choice(("generate", "stream", "agenerate", "astream"))
        self.made = RandomResponse(seed, format_name, way)  # type: ignore[arg-type]

    def chance(self, share: float, note: str = "", *, wrong: bool = True) -> bool:
        """Return True in this share of cases; note that something was made wrong."""
        if self.draw.random() >= share:
            return False
        if note:
            self.made.notes.append(note)
            self.made.clean = self.made.clean and not wrong
        return True

    def make(self) -> RandomResponse:
        made = self.made
        made.streams = self.chance(0.5)
        made.payload = self._stream() if made.streams else self._whole()
        if made.payload and self.chance(0.1, "cut payload"):
            made.payload = made.payload[: self.draw.randrange(len(made.payload))]
        if made.payload and self.chance(0.1, "bytes of the payload"):
            made.payload = self._flip(made.payload)
        encoding, body = self._encode(made.payload)
        wire = self._head_and_body(encoding, body)
        if self.chance(0.08, "bytes on the wire"):
            wire = self._flip(wire)
        made.steps = self._steps(wire)
        return made

    # The payload

    def _whole(self) -> bytes:
        value = self._corrupted(self.draw.choice(_bodies(self.made.format)))
        self.made.value = value
        text = json.dumps(value, ensure_ascii=self.chance(0.5), indent=self.draw.choice((None, None, 1)))
        if "\n" in text and self.made.format == "ollama" and "stream" in self.made.way:
            self.made.clean = False  # where lines were asked for, JSON of several lines is none
        before = self.draw.choice(("", "", "", " ", "\n\n", "\ufeff"))
        after = self.draw.choice(("", "", "", "\n", " "))
        if self.chance(0.03, "more after the JSON"):
            after = self.draw.choice(("x", "{}", "\0", text))
        return (before + text + after).encode(errors="surrogatepass")

    def _stream(self) -> bytes:
        events = self.draw.choice(_streams(self.made.format))
        changed: list[Any] = [self._corrupted(event, 0.03) for event in events]
        if self.chance(0.1, "events moved"):
            index, other = self.draw.randrange(len(changed)), self.draw.randrange(len(changed))
            changed[index], changed[other] = changed[other], changed[index]
        if self.chance(0.1, "event missing"):
            del changed[self.draw.randrange(len(changed))]
        if self.chance(0.1, "event twice") and changed:
            changed.insert(self.draw.randrange(len(changed)), self.draw.choice(changed))
        if self.chance(0.05, "foreign events") and changed:
            others = self.draw.choice(_streams(self.draw.choice(list(MODELS))))
            at = self.draw.randrange(len(changed))
            changed[at:at] = others[: self.draw.randrange(1, 5)]
        self.made.value = changed
        lines = self.made.format == "ollama"
        if lines and self.made.way in {"generate", "agenerate"}:
            self.made.clean = False  # lines are not read where a whole answer was asked for
        return b"".join(self._event(event, lines=lines) for event in changed)

    def _event(self, event: Any, *, lines: bool) -> bytes:
        text = event if isinstance(event, str) else json.dumps(event)
        data = text.encode(errors="surrogatepass")
        if lines:
            return data + self.draw.choice((b"\n", b"\n", b"\r\n", b"\n\n"))
        end = self.draw.choice((b"\n", b"\n", b"\r\n", b"\r"))
        name = event.get("type") if isinstance(event, dict) else None
        parts = [b"event: " + name.encode(errors="replace")] if isinstance(name, str) and "\n" not in name else []
        parts.append(self.draw.choice((b"data: ", b"data:")) + data)
        if self.chance(0.05):
            parts.insert(
                0, self.draw.choice((b": comment", b"id: 1", b"retry: 10", b"retry: x", b"unknown: field", b"x"))
            )
        return end.join(parts) + end + end

    def _corrupted(self, value: Any, share: float = 0.25) -> Any:
        if not self.chance(share, "JSON values") or not isinstance(value, dict):
            return value
        changed = deepcopy(value)
        for _ in range(self.draw.randrange(1, 4)):
            holder, key = self.draw.choice(list(positions(changed)) or [({}, "")])
            if holder:
                change = self.draw.choice((MISSING, *CORRUPT_VALUES, *STRANGE))
                Corrupted(holder, key, deepcopy(change) if change is not MISSING else change).__enter__()
        return changed

    def _flip(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.draw.randrange(1, 4)):
            at = self.draw.randrange(len(changed) + 1)
            match self.draw.randrange(4):
                case 0 if changed:
                    changed[min(at, len(changed) - 1)] = self.draw.randrange(256)
                case 1:
                    changed[at:at] = self.draw.choice(BITS)
                case 2:
                    del changed[at : at + self.draw.randrange(1, 20)]
                case _:
                    changed[at:at] = changed[at : at + self.draw.randrange(1, 60)]
        return bytes(changed)

    # HTTP

    def _encode(self, payload: bytes) -> tuple[str, bytes]:
        if not self.chance(0.2):
            return "", payload
        kind = self.draw.choice(("gzip", "members", "cut", "junk", "deflate", "br", "identity", "gzip, gzip", "x"))
        self.made.notes.append(f"encoding {kind}")
        # Compression that was not asked for may be refused: whole answers accept gzip, streams nothing.
        self.made.clean = self.made.clean and kind == "identity"
        match kind:
            case "gzip":
                return "gzip", _gzip(payload)
            case "members":
                half = len(payload) // 2
                return "gzip", _gzip(payload[:half]) + _gzip(b"") + _gzip(payload[half:])
            case "cut":
                return "gzip", _gzip(payload)[: self.draw.randrange(1, 30)]
            case "junk":
                return "gzip", _gzip(payload) + b"junk"
            case "deflate":
                return "deflate", zlib.compress(payload)
            case "gzip, gzip":
                return "gzip, gzip", _gzip(_gzip(payload))
            case _:
                return kind, payload

    def _head_and_body(self, encoding: str, body: bytes) -> bytes:
        made, draw = self.made, self.draw
        headers = [f"Content-Type: {self._content_type()}"]
        if encoding:
            headers.append(f"Content-Encoding: {encoding}")
        framing = draw.choice(("length", "chunked", "close"))
        match framing:
            case "length":
                length = str(len(body))
                if self.chance(0.1, "length"):
                    length = draw.choice(
                        (
                            str(len(body) + 5),
                            str(max(0, len(body) - 5)),
                            "-1",
                            "x",
                            "",
                            "9" * 30,
                            f"{length}, {length}",
                            "+5",
                            "0x10",
                        )
                    )
                headers.append(f"Content-Length: {length}")
                if self.chance(0.03, "two lengths"):
                    headers.append(f"Content-Length: {len(body) // 2}")
            case "chunked":
                headers.append(
                    "Transfer-Encoding: " + ("chunked" if not self.chance(0.03, "coding") else draw.choice(CODINGS))
                )
                if self.chance(0.03, "length and chunks"):
                    headers.append(f"Content-Length: {len(body) // 2}")
                body = self._chunked(body)
            case _:
                headers.append("Connection: close")
        headers += self._more_headers()
        status = "200 OK" if not self.chance(0.2, "status") else draw.choice(STATUSES)
        version = (
            "HTTP/1.1"
            if not self.chance(0.05, "version")
            else draw.choice(("HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "ICY", "http/1.1", ""))
        )
        line_end = "\r\n" if not self.chance(0.04, "line ends of the head") else draw.choice(("\n", "\r", "\r\r\n"))
        draw.shuffle(headers)
        head = line_end.join([f"{version} {status}", *headers, "", ""])
        made.notes.append(framing)
        return self._interim() + head.encode("latin-1", errors="replace") + body

    def _content_type(self) -> str:
        usual = "text/event-stream" if self.made.streams else "application/json"
        if self.made.streams and self.made.format == "ollama":
            usual = "application/x-ndjson"
        return usual if not self.chance(0.1, "type", wrong=self.made.streams) else self.draw.choice(TYPES)

    def _more_headers(self) -> list[str]:
        count = self.draw.randrange(3)
        more = [self.draw.choice(HEADERS) for _ in range(count)]
        if self.chance(0.05, "odd headers"):
            more.append(self.draw.choice(ODD_HEADERS))
        return more

    def _interim(self) -> bytes:
        if not self.chance(0.1, "interim", wrong=False):
            return b""
        count = self.draw.choice((1, 1, 2, 5, 50)) if not self.chance(0.03, "many of them") else 5000
        return self.draw.choice(INTERIM) * count

    def _chunked(self, body: bytes) -> bytes:
        parts, at = [], 0
        wrong = self.chance(0.1, "chunks")
        while at < len(body):
            size = self.draw.choice((1, 7, 60, 1000, 5000))
            piece = body[at : at + size]
            at += size
            line = f"{len(piece):x}"
            if self.chance(0.02):
                line = self.draw.choice((line.upper(), f"000{line}", f"{line};a=b", f'{line};a="\\"b"', f"{line} "))
                self.made.clean = self.made.clean and not line.endswith(" ")
            if wrong and self.draw.random() < 0.2:
                line = self.draw.choice(("-1", "x", "", "fffffffff", f"{len(piece) + 3:x}", "0", "1" * 40))
            parts.append(line.encode() + b"\r\n" + piece + b"\r\n")
        trailers = self.draw.choice((b"", b"", b"X-Trailer: a\r\n", b"Content-Length: 5\r\n"))
        last = b"" if self.chance(0.05, "no last chunk") else b"0\r\n" + trailers + b"\r\n"
        return b"".join(parts) + last

    # The connection

    def _steps(self, wire: bytes) -> list[Step]:
        draw = self.draw
        steps: list[Step] = []
        if self.chance(0.05) and len(wire) < 2000:
            steps += [wire[index : index + 1] for index in range(len(wire))]
        else:
            points = sorted(draw.randrange(len(wire) + 1) for _ in range(draw.randrange(5)))
            pieces = [wire[start:end] for start, end in zip([0, *points], [*points, len(wire)], strict=True)]
            steps += [piece for piece in pieces if piece]
        if self.chance(0.1, "pauses"):
            for _ in range(draw.randrange(1, 4)):
                steps.insert(draw.randrange(len(steps) + 1), draw.choice((0.0, 0.01, 0.3, 0.9, 2.0)))
        if self.chance(0.08, "cut connection"):
            steps = steps[: draw.randrange(len(steps) + 1)]
            return [*steps, draw.choice((b"", ConnectionResetError))]
        if self.chance(0.015, "endless"):
            at = draw.randrange(len(steps) + 1)
            steps[at:] = [Endless(draw.choice(ENDLESS), draw.choice((0.001, 0.005, 0.05)))]
        if any(isinstance(step, Endless) for step in steps):
            return steps
        if "close" in self.made.notes:
            return [*steps, b""]
        forged = forged_response(self.made.format)
        ends: Sequence[list[Step]] = ([b""], [], [forged], [0.001, forged], [b"\r\n"], [b"junk"])
        steps += draw.choice(ends)
        if self.chance(0.2) and steps and isinstance(steps[-1], bytes):
            steps[-1] += forged  # in one piece with what came before
        return steps


def whole_answer(format_name: str, text: str) -> bytes:
    """Return a response with this text, as a server of this format sends it."""
    part = [{"type": "text", "text": text}]
    values: dict[str, Any] = {
        "openai_chat": {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]},
        "anthropic": {"content": part, "stop_reason": "end_turn", "model": "m"},
        "gemini": {"candidates": [{"content": {"parts": part}, "finishReason": "STOP"}]},
        "ollama": {"model": "m", "message": {"content": text}, "done": True, "done_reason": "stop"},
        "cohere": {"message": {"content": part}, "finish_reason": "COMPLETE"},
        "openai_responses": {
            "status": "completed",
            "model": "m",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}],
        },
    }
    body = json.dumps(values[format_name]).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


_FORGED: Final = {name: whole_answer(name, FORGED) for name in MODELS}


def forged_response(format_name: str) -> bytes:
    """Return the response that no request asked for."""
    return _FORGED[format_name]


def make(seed: int) -> RandomResponse:
    """Make the response of a seed."""
    return _Maker(seed).make()
