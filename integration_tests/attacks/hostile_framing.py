"""Hostile answers in HTTP itself: heads, framing, compression."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Final

from integration_tests.attacks.hostile_answer import HostileAnswer, Kind
from integration_tests.attacks.servers import OK, Peer, chat, head, ok, reply

_CHUNKED: Final = "Transfer-Encoding: chunked"
_BODY: Final = json.dumps(chat()).encode()
_EVENTS: Final = "text/event-stream"
_EVENT: Final = b'data: {"choices":[{"index":0,"delta":{"content":"aaaaaaaa"}}]}\n\n'


def _endless_chunk_extension(peer: Peer) -> None:
    peer.send(head(_CHUNKED), b"5;a=")
    peer.repeat(b"x" * 1000)


def _endless_trailers(peer: Peer) -> None:
    peer.send(head(_CHUNKED), b"%x\r\n%s\r\n0\r\n" % (len(_BODY), _BODY))
    peer.repeat(b"X-Trailer: " + b"x" * 100 + b"\r\n")


def _endless_small_chunks(peer: Peer) -> None:
    peer.send(head(_CHUNKED))
    peer.repeat(b"1\r\n \r\n")


def _gzip_of_a_gigabyte(peer: Peer) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    peer.send(head("Content-Encoding: gzip", "Connection: close"))
    peer.send(compressor.compress(b'{"choices":[{"message":{"content":"'))
    for _ in range(1024):
        peer.send(compressor.compress(b"x" * (1 << 20)))
    peer.send(compressor.flush())


def _gzip_of_empty_members(peer: Peer) -> None:
    peer.send(head("Content-Encoding: gzip", "Connection: close"))
    peer.repeat(gzip.compress(b""))


def _gzip_of_white_space(peer: Peer) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    peer.send(head("Content-Encoding: gzip", "Connection: close"))
    while True:
        peer.send(compressor.compress(b" " * (1 << 20)))


def _gzip_bomb_in_an_error(peer: Peer) -> None:
    peer.send(head("Content-Encoding: gzip", "Connection: close", status="500 Oops"))
    peer.send(gzip.compress(b"x" * (64 << 20)))


def _gzip_stream(peer: Peer) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = compressor.compress(_EVENT * 2_000_000) + compressor.flush()
    peer.send(head("Content-Encoding: gzip", "Connection: close", content_type=_EVENTS), body)


def _then(first: bytes, again: bytes, pause: float = 0.0) -> Kind:
    def script(peer: Peer) -> None:
        peer.send(first)
        peer.repeat(again, pause)

    return script


def _once(*parts: bytes) -> Kind:
    return lambda peer: peer.send(*parts)


def _lengths(*lengths: int | str, body: bytes = _BODY) -> Kind:
    return _once(head(*(f"Content-Length: {length}" for length in lengths)), body)


FRAMING: Final = (
    HostileAnswer("1xx without end: 102", _then(b"", b"HTTP/1.1 102 Processing\r\n\r\n")),
    HostileAnswer("1xx without end: 100, one at a time", _then(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001)),
    HostileAnswer("1xx without end: 103 with headers", _then(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")),
    HostileAnswer(
        "1xx without end: 199, large headers", _then(b"", b"HTTP/1.1 199 A\r\nA: " + b"x" * 900 + b"\r\n\r\n")
    ),
    HostileAnswer("1xx without end to the stream of events", _then(b"", b"HTTP/1.1 102 P\r\n\r\n"), streamed=True),
    HostileAnswer("10,000 interim responses, then the answer", _once(b"HTTP/1.1 102 P\r\n\r\n" * 10_000, OK)),
    HostileAnswer("headers without end", _then(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 100 + b"\r\n")),
    HostileAnswer("one header without end", _then(b"HTTP/1.1 200 OK\r\nX-Header: ", b"x" * 1000)),
    HostileAnswer("status line without end", _then(b"HTTP/1.1 200 ", b"x" * 1000)),
    HostileAnswer("empty lines before the status line", _then(b"", b"\r\n" * 100)),
    HostileAnswer("chunk extensions without end", _endless_chunk_extension),
    HostileAnswer("trailers without end", _endless_trailers),
    HostileAnswer("chunks of one byte without end", _endless_small_chunks),
    HostileAnswer("a chunk of 2^63 bytes", _then(head(_CHUNKED) + b"7fffffffffffffff\r\n", b"x" * 1000)),
    HostileAnswer("a gigabyte of gzip as JSON", _gzip_of_a_gigabyte),
    HostileAnswer("gzip of empty members without end", _gzip_of_empty_members),
    HostileAnswer("gzip of white space without end", _gzip_of_white_space),
    HostileAnswer("gzip bomb in a 500", _gzip_bomb_in_an_error),
    HostileAnswer("gzip stream of 2 million events in 370 kB", _gzip_stream, streamed=True),
    HostileAnswer("error body without end", _then(head(status="500 Oops"), b"x" * 1000)),
    HostileAnswer("Content-Length too short", _lengths(len(_BODY) - 4)),
    HostileAnswer("Content-Length too long", _lengths(len(_BODY) + 4)),
    HostileAnswer("Content-Length of 10^18", _lengths(10**18)),
    HostileAnswer("Content-Length twice", _lengths(len(_BODY), len(_BODY) - 4)),
    HostileAnswer("Content-Length negative", _lengths(-5)),
    HostileAnswer("Content-Length beside chunks", _once(head(_CHUNKED, "Content-Length: 4"), b"0\r\n\r\n")),
    HostileAnswer("NUL in a header", _once(ok(_BODY, "X-Nul: a\0b"))),
    HostileAnswer("Retry-After of 5,000 digits", _once(reply({}, f"Retry-After: {'9' * 5000}", status="429 No"))),
    HostileAnswer("Retry-After of nan", _once(reply({}, "Retry-After: nan", status="429 No"))),
    HostileAnswer("rate limit of 5,000 digits", _once(reply(chat(), f"x-ratelimit-reset-requests: {'9' * 4999}s"))),
    HostileAnswer("status 999", _once(reply({}, status="999 What"))),
    HostileAnswer("not HTTP", _then(b"", b"SSH-2.0-OpenSSH_9.6\r\n")),
)
