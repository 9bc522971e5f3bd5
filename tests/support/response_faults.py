"""What is put into random responses: values, bytes, statuses, headers and endless repetitions."""

from __future__ import annotations

import gzip
from typing import Any, Final

STRANGE: Final[tuple[Any, ...]] = (
    -1, 0.1, 1e308, 10**30, "\ud800", "\x00", "\u2028", "a" * 3000, [[]] * 50, {"a": {"b": []}}, "null", "9" * 400,
    [{"type": "text"}], {"type": "error", "error": {"message": "m"}}, {"index": -5}, {"index": 10**18},
)  # fmt: skip
BITS: Final = (
    b"\0", b"\r\n", b"\n\n", b"\r\n\r\n", b"0\r\n\r\n", b"data: ", b"data: [DONE]\n\n", b"{", b"}", b'"', b"[" * 50,
    b"\xff",
    b"\xef\xbb\xbf", b"HTTP/1.1 200 OK\r\n\r\n", b"event: error\ndata: {}\n\n", b"\x1f\x8b\x08\x00", b"\\ud800",
    b"NaN", b"1e999",
)  # fmt: skip
STATUSES: Final = (
    "201 Created", "202 Accepted", "204 No Content", "206 Partial", "301 Moved", "304 Not Modified", "400 Bad",
    "401 No",
    "402 Pay", "403 No", "404 Not", "407 Proxy", "408 Slow", "409 Conflict", "413 Large", "422 What", "429 Many",
    "451 Law",
    "499 Gone", "500 Oops", "503 Down", "529 Busy", "600 Six", "999 Nine", "099 Low", "99 Two", "2000 Four",
    "-1 Minus", "",
    "OK", "200", "200 \xe9\xff", "101 Switching Protocols", "200 " + "x" * 500,
)  # fmt: skip
TYPES: Final = (
    "text/html", "text/plain", "", "application/json; charset=utf-16", "multipart/form-data", "text/event-stream", "x",
    "application/json", "application/x-ndjson", "a" * 500,
)  # fmt: skip
CODINGS: Final = ("gzip, chunked", "chunked, chunked", "identity", "xchunked", "chunked, identity", "CHUNKED", "")
HEADERS: Final = (
    "x-request-id: abc", "Set-Cookie: a=b", "Server: x", "Date: Mon, 01 Jan 2024 00:00:00 GMT",
    "Connection: keep-alive",
    "Retry-After: 1", "x-ratelimit-remaining-requests: 5", "x-ratelimit-reset-requests: 1s", "Keep-Alive: timeout=5",
    "Vary: *",
)  # fmt: skip
ODD_HEADERS: Final = (
    "no colon", ": empty", "a b: c", "X-Nul: a\0b", "X-Long: " + "x" * 5000, "X-Fold: a\r\n b", "X-Latin: \xe9",
    "Retry-After: nan",
    "Retry-After: " + "9" * 5000, "Retry-After: -5", "x-ratelimit-reset-requests: 99999h",
    "x-ratelimit-remaining-requests: -1",
    "x-should-retry: maybe", "Connection: upgrade", "Upgrade: h2c", "Content-Encoding: gzip",
    "x-request-id: " + "\x7f" * 10,
    "\r\n".join(f"H{index}: x" for index in range(120)), "Trailer: Content-Length", "retry-after-ms: inf",
    "date: never",
)  # fmt: skip
INTERIM: Final = (
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    b"HTTP/1.1 199 X\r\nContent-Length: 5\r\n\r\n",
)  # fmt: skip
ENDLESS: Final = (
    b"HTTP/1.1 102 Processing\r\n\r\n" * 100, b"X: y\r\n" * 1000, b"x" * 60_000, b" " * 60_000, b"\r\n" * 1000,
    b": c\n\n" * 5000,
    b'data: {"choices":[{"index":0,"delta":{"content":"aaaa"}}]}\n\n' * 300, b"1\r\n \r\n" * 5000, b"[" * 60_000,
    b"{},\n" * 10_000,
    b'5;a="' + b"x" * 60_000, gzip.compress(b"", mtime=0) * 2000, b'{"message":{"content":"a"},"done":false}\n' * 500,
    b"data:\n" * 5000,
)  # fmt: skip
