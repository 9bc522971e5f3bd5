"""Hostile answers as events: without end, without lines, with far too many parts; in every format."""

from __future__ import annotations

import json
from typing import Any, Final

from integration_tests.attacks.hostile_answer import HostileAnswer, Kind
from integration_tests.attacks.servers import Peer, head

_HEAD: Final = head(content_type="text/event-stream")
_LINES: Final = head(content_type="application/x-ndjson")
_END: Final = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def _event(value: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(value).encode() + b"\n\n"


def _delta(**delta: Any) -> bytes:
    return _event({"choices": [{"index": 0, "delta": delta}]})


def _endless(again: bytes, first: bytes = b"", response_head: bytes = _HEAD) -> Kind:
    def script(peer: Peer) -> None:
        peer.send(response_head, first)
        peer.repeat(again)

    return script


def _once(*parts: bytes) -> Kind:
    return lambda peer: peer.send(_HEAD, *parts)


def _numbered_calls(count: int | None, *, name: str = "f", identifier: str | None = None) -> Kind:
    def script(peer: Peer) -> None:
        peer.send(_HEAD)
        index = 0
        while count is None or index < count:
            calls = [
                {"index": number, "id": identifier or f"c{number}", "function": {"name": name, "arguments": "{}"}}
                for number in range(index, index + 200)
            ]
            peer.send(b"".join(_delta(tool_calls=[call]) for call in calls))
            index += 200
        peer.send(_END)

    return script


def _index(value: str) -> Kind:
    call = '{"choices":[{"delta":{"tool_calls":[{"index":%s,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}'
    return _once(f"data: {call % value}\n\n".encode(), _END)


_ARGUMENTS: Final = _delta(tool_calls=[{"index": 0, "function": {"arguments": "x" * 4000}}])
_CALL: Final = _delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}])
_NAMELESS: Final = _delta(tool_calls=[{"index": 0, "function": {"arguments": ""}}, {"function": {"arguments": "{}"}}])
_DETAILS: Final = _delta(reasoning_details=[{"type": "reasoning.text", "text": "x" * 500, "signature": "y" * 500}])
_REASONING: Final = _delta(reasoning_content="x" * 4000)
_LOGPROBS: Final = _event(
    {
        "choices": [
            {
                "delta": {"content": "x"},
                "logprobs": {"content": [{"token": "x", "logprob": -1.0, "top_logprobs": []}] * 20},
            }
        ]
    }
)
_CITATION: Final = _delta(
    content="x", annotations=[{"type": "url_citation", "url_citation": {"url": "https://example.org/" + "x" * 900}}]
)

# An event of text in every format, sent without end.
_FORMATS: Final[dict[str, tuple[bytes, bytes]]] = {
    "anthropic": (
        _event({"type": "message_start", "message": {"id": "a", "content": [], "model": "m", "usage": {}}})
        + _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 4000}}),
    ),
    "anthropic, thinking": (
        _event({"type": "message_start", "message": {"id": "a", "content": [], "model": "m", "usage": {}}})
        + _event({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
        _event(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x" * 4000}}
        ),
    ),
    "anthropic, blocks": (
        _event({"type": "message_start", "message": {"id": "a", "content": [], "model": "m", "usage": {}}}),
        _event(
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "redacted_thinking", "data": "x" * 500},
            }
        )
        + _event({"type": "content_block_stop", "index": 0}),
    ),
    "gemini": (b"", _event({"candidates": [{"content": {"parts": [{"text": "x" * 4000}]}}]})),
    "gemini, signatures": (
        b"",
        _event({"candidates": [{"content": {"parts": [{"text": "", "thoughtSignature": "x" * 4000}]}}]}),
    ),
    "cohere": (
        b"",
        _event({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "x" * 4000}}}}),
    ),
    "ollama": (b"", json.dumps({"model": "m", "message": {"content": "x" * 4000}, "done": False}).encode() + b"\n"),
    "openai": (b"", _event({"type": "response.output_text.delta", "delta": "x" * 4000, "item_id": "a"})),
    "openai, items": (
        b"",
        _event(
            {
                "type": "response.output_item.done",
                "item": {"type": "reasoning", "id": "r", "encrypted_content": "x" * 4000, "summary": []},
            }
        ),
    ),
}


def _of_formats() -> list[HostileAnswer]:
    answers = []
    for title, (first, again) in _FORMATS.items():
        provider = title.partition(",")[0]
        response_head = _LINES if provider == "ollama" else _HEAD
        model = f"{provider}/{'gpt-5-pro' if provider == 'openai' else 'm'}"
        script = _endless(again, first, response_head)
        answers.append(
            HostileAnswer(f"events without end: {title}", script, streamed=True, memory=200, deadline=2.0, model=model)
        )
    return answers


STREAMS: Final = (
    HostileAnswer("events without line ends", _endless(b"x" * 1000, b"data: "), streamed=True),
    HostileAnswer("an event of single lines without end", _endless(b"data: x\n"), streamed=True),
    HostileAnswer("lines without end", _endless(b"x" * 1000, b'{"message":', _LINES), streamed=True, model="ollama/m"),
    HostileAnswer("comments without end", _endless(b": still here\n\n"), streamed=True),
    HostileAnswer("event names without end", _endless(b"event: message\n"), streamed=True),
    HostileAnswer("empty lines without end", _endless(b"\n" * 100, b": a\n\n"), streamed=True),
    HostileAnswer("empty deltas without end", _endless(_delta(content="")), streamed=True),
    HostileAnswer("text without end", _endless(_delta(content="aaaaaaaa")), streamed=True, memory=200, deadline=2.0),
    HostileAnswer(
        "large texts without end", _endless(_delta(content="x" * 500_000)), streamed=True, memory=200, deadline=2.0
    ),
    HostileAnswer("reasoning without end", _endless(_REASONING), streamed=True, memory=200, deadline=2.0),
    HostileAnswer("arguments without end", _endless(_ARGUMENTS, _CALL), streamed=True, memory=200, deadline=2.0),
    HostileAnswer("nameless calls without end", _endless(_NAMELESS), streamed=True, memory=200, deadline=2.0),
    HostileAnswer(
        "reasoning details without end",
        _endless(_DETAILS),
        streamed=True,
        memory=200,
        deadline=2.0,
        model="openrouter/m",
    ),
    HostileAnswer("log probabilities without end", _endless(_LOGPROBS), streamed=True, memory=200),
    HostileAnswer("citations without end", _endless(_CITATION), streamed=True, memory=200, deadline=2.0),
    HostileAnswer("calls without end", _numbered_calls(None), streamed=True, memory=200, deadline=2.0),
    HostileAnswer("2*10^5 calls", _numbered_calls(200_000), streamed=True, memory=200, deadline=2.0),
    HostileAnswer(
        "one identifier for 20,000 calls as events",
        _numbered_calls(20_000, identifier="same"),
        streamed=True,
        memory=200,
        deadline=2.0,
    ),
    HostileAnswer(
        "10^6 tiny events", _once(_delta(content="a") * 1_000_000, _END), streamed=True, memory=200, deadline=2.0
    ),
    HostileAnswer("10^6 empty events in one event's lines", _once(b"data:\n" * 1_000_000, b"\n", _END), streamed=True),
    HostileAnswer("index of 10^18", _index(f"{10**18}")),
    HostileAnswer("index of -5", _index("-5")),
    HostileAnswer("index of 1e400", _index("1e400")),
    HostileAnswer("10^5 nested arrays in an event", _once(b"data: " + b"[" * 100_000 + b"\n\n", _END), streamed=True),
    HostileAnswer(
        "an event of 15 MB of {},",
        _once(b'data: {"choices":[],"a":[' + b"{}," * 5_000_000 + b"{}]}\n\n", _END),
        streamed=True,
        memory=200,
    ),
    HostileAnswer(
        "a lone surrogate in an event",
        _once(b'data: {"choices":[{"delta":{"content":"\\ud800"}}]}\n\n', _END),
        streamed=True,
    ),
    *_of_formats(),
)
