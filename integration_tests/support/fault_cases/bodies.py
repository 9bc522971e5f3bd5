"""Cases 20 to 27: HTTP 200 with an unusable body, or with an unusual one that is still an answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from integration_tests.support.fault_harness import Answers, Case, Fails, Raises, StartServer, serving
from integration_tests.support.fault_responses import FIRST, body, dump, error, events
from integration_tests.support.fault_server import Repeat, Send, head, ok
from unified_llm.exceptions import ConnectionError, ContentFilterError, GenerationError, RateLimitError
from unified_llm.exceptions import ServiceUnavailableError as UnavailableError
from unified_llm.types import Usage

MALFORMED: Final = Fails("malformed", GenerationError)
EMPTY: Final = Fails("empty", GenerationError)
OVERSIZED: Final = Fails("oversized", GenerationError)
CUT: Final = Fails("connection", ConnectionError)
WHOLE: Final = Answers(FIRST, usage=Usage(7, 3, 10))
DEEP: Final = b'{"choices": ' + b"[" * 100_000
PORTAL: Final = b"<!DOCTYPE html><html><body>Welcome to the hotel's network. CANARY-page</body></html>"


def responds(data: bytes, *headers: str, content_type: str = "application/json") -> StartServer:
    """A server that answers every request with this body."""
    return serving([Send(ok(data, *headers, content_type=content_type))])


def with_fields(**fields: Any) -> bytes:
    """A whole response with other fields."""
    return dump(body() | fields)


def with_message(message: Any = None, **choice: Any) -> bytes:
    """A whole response with one choice."""
    return with_fields(choices=[{"index": 0, "message": message, "finish_reason": "stop", **choice}])


def with_usage(usage: Any) -> bytes:
    """A whole response with this usage."""
    return with_fields(usage=usage)


def zipped(data: bytes) -> bytes:
    """The data compressed with gzip."""
    return gzip.compress(data, 9)


TEXT: Final = {"role": "assistant", "content": FIRST}
NO_TOKENS: Final = Answers(FIRST, usage=Usage())
UNKNOWN: Final = {"type": "hologram"}
PARTS: Final = [
    {"type": "text", "text": "CANARY-answer "},
    UNKNOWN,
    {"type": "text", "text": "of the first"},
]

ANSWERS_AT_200: Final[Mapping[str, tuple[bytes, Fails]]] = {
    "an error": (dump(error("CANARY")), Fails("server", UnavailableError)),
    "an error with the code of a rate limit": (
        dump(error("CANARY", code="rate_limit_exceeded")), Fails("rate_limit", RateLimitError)),
    "an error with the status of a rate limit": (dump(error("CANARY", code=429)), Fails("rate_limit", RateLimitError)),
    "an error of the content filter": (
        dump(error("CANARY", code="content_filter")), Raises("filter", ContentFilterError)),
    "nothing": (b"", EMPTY),
    "white space": (b" \n\n ", EMPTY),
}  # fmt: skip
INVALID_JSON: Final[Mapping[str, bytes]] = {
    "a list": b"[1, 2]",
    "null": b"null",
    "a number": b"17",
    "a text": b'"CANARY"',
    "truncated": dump(body())[:-9],
    "an integer of 5,000 digits": b'{"choices": ' + b"9" * 5000 + b"}",
    "100,000 open brackets": DEEP,
    "two objects": dump(body()) * 2,
    "an object in single quotes": b"{'choices': []}",
    "NaN": with_fields(created="N").replace(b'"N"', b"NaN"),
}
UNUSUAL_JSON: Final[Mapping[str, tuple[bytes, Answers]]] = {
    "duplicate keys": (b'{"choices": [], ' + dump(body())[1:], WHOLE),
    "numbers beyond every float": (with_fields(created="N", system="M").replace(b'"N"', b"1e999"), WHOLE),
    "usage beyond every float": (with_usage({"prompt_tokens": "N"}).replace(b'"N"', b"1e999"), NO_TOKENS),
}
CHOICES: Final[Mapping[str, tuple[bytes, Fails | Answers]]] = {
    "no choices": (dump({"id": "r-1", "usage": {}}), EMPTY),
    "empty choices": (with_fields(choices=[]), EMPTY),
    "choices null": (with_fields(choices=None), EMPTY),
    "choices an object": (with_fields(choices={"message": TEXT}), EMPTY),
    "a choice null": (with_fields(choices=[None]), EMPTY),
    "message null": (with_message(None), EMPTY),
    "message a text": (with_message("CANARY"), EMPTY),
    "content null": (with_message({"role": "assistant", "content": None}), EMPTY),
    "content a number": (with_message({"content": 17}), EMPTY),
    "content a list of parts, one of an unknown type": (with_message({"content": PARTS}), WHOLE),
    "nothing but an unknown part": (with_message({"content": [UNKNOWN]}), EMPTY),
    "an unknown reason to finish": (with_message(TEXT, finish_reason="vanished"), replace(WHOLE, reason="length")),
    "a reason that is no text": (with_message(TEXT, finish_reason=["stop"]), WHOLE),
    "no reason": (with_message(TEXT, finish_reason=None), WHOLE),
    "nothing, at the limit of tokens": (
        with_message({"content": ""}, finish_reason="length"), Answers("", reason="length")),
    "an answer cut by a filter": (
        with_message(TEXT, finish_reason="content_filter"), Answers(FIRST, reason="content_filter")),
    "a provider that stopped with an error": (
        with_message(TEXT, finish_reason="error"), Fails("server", UnavailableError)),
    "no usage": (with_usage(None), Answers(FIRST)),
    "usage a text": (with_usage("CANARY"), Answers(FIRST)),
    "negative usage": (with_usage({"prompt_tokens": -1, "completion_tokens": -2, "total_tokens": -3}), NO_TOKENS),
    "usage in fractions and words": (with_usage({"prompt_tokens": 7.0, "completion_tokens": "3"}),
                                     Answers(FIRST, usage=Usage(7, 0, 7))),
}  # fmt: skip

BOMB: Final = zipped(b'{"text": "' + bytes(100_000_000))
GOOD: Final = dump(body())
ENCODINGS: Final[Mapping[str, tuple[StartServer, Fails | Answers]]] = {
    "gzip, even if the request did not ask for it": (responds(zipped(GOOD), "Content-Encoding: gzip"), WHOLE),
    "a bomb of gzip": (responds(BOMB, "Content-Encoding: gzip"), OVERSIZED),
    "brotli": (responds(b"\x8b\x02\x80CANARY\x03", "Content-Encoding: br"), MALFORMED),
    "zstd": (responds(b"\x28\xb5\x2f\xfd\x04\x00", "Content-Encoding: zstd"), MALFORMED),
    "gzip that ends in the middle": (responds(zipped(GOOD)[:-20], "Content-Encoding: gzip"), CUT),
    "damaged gzip": (responds(zipped(GOOD)[:20] + b"\xff" * 40, "Content-Encoding: gzip"), MALFORMED),
    "plain text that claims to be gzip": (responds(GOOD, "Content-Encoding: gzip"), WHOLE),
    "gzip without a header": (responds(zipped(GOOD)), MALFORMED),
    "gzip in gzip with two headers": (responds(zipped(zipped(GOOD)), "Content-Encoding: gzip, gzip"), MALFORMED),
    "gzip in gzip with one header": (responds(zipped(zipped(GOOD)), "Content-Encoding: gzip"), MALFORMED),
}
TOO_MUCH: Final = Repeat(b"x" * 1_000_000)

CASES: Final = [
    *(Case(20, f"200 with {title}", responds(data), outcome) for title, (data, outcome) in ANSWERS_AT_200.items()),
    Case(20, "200 with HTML", responds(PORTAL, content_type="text/html"), MALFORMED),
    Case(20, "200 with HTML that claims to be a stream", responds(PORTAL, content_type="text/event-stream"), MALFORMED),
    Case(20, "204", serving([Send(b"HTTP/1.1 204 No Content\r\n\r\n")]), EMPTY),
    Case(21, "JSON under text/plain", responds(GOOD, content_type="text/plain"), WHOLE),
    Case(21, "JSON under no type", responds(GOOD, content_type=""), WHOLE),
    Case(21, "JSON under a wrong charset", responds(GOOD, content_type="application/json; charset=iso-8859-1"), WHOLE),
    Case(21, "JSON after a byte order mark", responds(b"\xef\xbb\xbf" + GOOD), WHOLE),
    Case(21, "JSON in UTF-16", responds(json.dumps(body()).encode("utf-16")), MALFORMED),
    Case(21, "JSON with bytes that are not UTF-8", responds(GOOD.replace(b"first", b"\xff")), MALFORMED),
    Case(21, "a stream under text/plain",
         serving([Send(ok(events(), content_type="text/plain"))]), WHOLE, ("stream",)),
    *(Case(22, f"invalid JSON: {title}", responds(data), MALFORMED) for title, data in INVALID_JSON.items()),
    *(Case(22, f"unusual JSON: {title}", responds(data), outcome) for title, (data, outcome) in UNUSUAL_JSON.items()),
    *(Case(23, title, responds(data), outcome) for title, (data, outcome) in CHOICES.items()),
    *(Case(26, title, start_server, outcome) for title, (start_server, outcome) in ENCODINGS.items()),
    Case(26, "a stream in gzip", serving([Send(ok(zipped(events()), "Content-Encoding: gzip"))]), WHOLE, ("stream",)),
    Case(27, "a body without end", serving([Send(head() + b'{"text": "'), TOO_MUCH]), OVERSIZED),
    Case(27, "a body of 2 GB", serving([Send(head("Content-Length: 2147483648") + b'{"text": "'), TOO_MUCH]),
         OVERSIZED),
    Case(27, "a line without end",
         serving([Send(head() + b"data: "), Repeat(b"x" * 100_000)]), OVERSIZED),
    Case(27, "a header without end", serving([Send(b"HTTP/1.1 200 OK\r\nX-Long: "), Repeat(b"x" * 10_000)]), CUT),
    Case(27, "headers without end", serving([Send(b"HTTP/1.1 200 OK\r\n"), Repeat(b"X-Many: x\r\n" * 1000)]), CUT),
]  # fmt: skip
