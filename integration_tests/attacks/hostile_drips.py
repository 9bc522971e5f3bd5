"""Hostile answers that are slow: everything arrives a byte at a time, and never the end."""

from __future__ import annotations

from typing import Final

from integration_tests.attacks.hostile_answer import HostileAnswer, Kind
from integration_tests.attacks.servers import Peer, head

_EVENTS: Final = head(content_type="text/event-stream")
_DELTA: Final = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


def _drip(first: bytes, slow: bytes, pause: float = 0.02) -> Kind:
    def script(peer: Peer) -> None:
        peer.send(first)
        peer.drip(slow, pause)

    return script


def _repeat(first: bytes, again: bytes, pause: float = 0.02) -> Kind:
    def script(peer: Peer) -> None:
        peer.send(first)
        peer.repeat(again, pause)

    return script


def _answer(title: str, script: Kind, *, streamed: bool = False) -> HostileAnswer:
    return HostileAnswer(title, script, streamed=streamed, memory=50, idle=True)


DRIPS: Final = (
    _answer("silence after the request", _drip(b"", b"")),
    _answer("drips of the head", _drip(b"", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000)),
    _answer("drips of interim responses", _repeat(b"", b"HTTP/1.1 102 Processing\r\n\r\n")),
    _answer("drips of the body", _drip(head(), b'{"choices": [' + b" " * 1000)),
    _answer("drips of white space", _repeat(head(), b" ")),
    _answer("drips of an error", _drip(head(status="500 Oops"), b"x" * 1000)),
    _answer("drips of a chunk's length", _drip(head("Transfer-Encoding: chunked"), b"0" * 1000)),
    _answer("drips of comments", _repeat(_EVENTS, b": still here\n\n"), streamed=True),
    _answer("drips of one event", _drip(_EVENTS, b"data: " + b"x" * 1000), streamed=True),
    _answer("drips of text", _repeat(_EVENTS, _DELTA), streamed=True),
    _answer("silence after text", _drip(_EVENTS + _DELTA, b""), streamed=True),
)
