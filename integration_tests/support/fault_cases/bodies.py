"""Cases 20 to 27: HTTP 200, and a body that is no answer, or one that is an answer although it hardly looks like it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
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


def says(data: bytes, *headers: str, content_type: str = "application/json") -> StartServer:
    """A server that answers with this body, whatever it was asked for."""
    return serving([Send(ok(data, *headers, content_type=content_type))])


def changed(**fields: Any) -> bytes:
    """A whole answer with other fields."""
    return dump(body() | fields)


def spoken(message: Any = None, **choice: Any) -> bytes:
    """A whole answer of one choice."""
    return changed(choices=[{"index": 0, "message": message, "finish_reason": "stop", **choice}])


def counted(usage: Any) -> bytes:
    """A whole answer that cost so much."""
    return changed(usage=usage)


def zipped(data: bytes) -> bytes:
    """As gzip."""
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
JSON_THAT_IS_NONE: Final[Mapping[str, bytes]] = {
    "a list": b"[1, 2]",
    "null": b"null",
    "a number": b"17",
    "a text": b'"CANARY"',
    "truncated": dump(body())[:-9],
    "an integer of 5,000 digits": b'{"choices": ' + b"9" * 5000 + b"}",
    "100,000 open brackets": DEEP,
    "two objects": dump(body()) * 2,
    "an object in single quotes": b"{'choices': []}",
    "NaN": changed(created="N").replace(b'"N"', b"NaN"),
}
STRANGE_JSON: Final[Mapping[str, tuple[bytes, Answers]]] = {
    "duplicate keys": (b'{"choices": [], ' + dump(body())[1:], WHOLE),
    "numbers beyond every float": (changed(created="N", system="M").replace(b'"N"', b"1e999"), WHOLE),
    "usage beyond every float": (counted({"prompt_tokens": "N"}).replace(b'"N"', b"1e999"), NO_TOKENS),
}
CHOICES: Final[Mapping[str, tuple[bytes, Fails | Answers]]] = {
    "no choices": (dump({"id": "r-1", "usage": {}}), EMPTY),
    "empty choices": (changed(choices=[]), EMPTY),
    "choices null": (changed(choices=None), EMPTY),
    "choices an object": (changed(choices={"message": TEXT}), EMPTY),
    "a choice null": (changed(choices=[None]), EMPTY),
    "message null": (spoken(None), EMPTY),
    "message a text": (spoken("CANARY"), EMPTY),
    "content null": (spoken({"role": "assistant", "content": None}), EMPTY),
    "content a number": (spoken({"content": 17}), EMPTY),
    "content a list of parts, one of an unknown type": (spoken({"content": PARTS}), WHOLE),
    "nothing but an unknown part": (spoken({"content": [UNKNOWN]}), EMPTY),
    "an unknown reason to finish": (spoken(TEXT, finish_reason="vanished"), WHOLE),
    "a reason that is no text": (spoken(TEXT, finish_reason=["stop"]), WHOLE),
    "no reason": (spoken(TEXT, finish_reason=None), WHOLE),
    "nothing, at the limit of tokens": (spoken({"content": ""}, finish_reason="length"), Answers("", reason="length")),
    "an answer cut by a filter": (
        spoken(TEXT, finish_reason="content_filter"), Answers(FIRST, reason="content_filter")),
    "a provider that gave up": (spoken(TEXT, finish_reason="error"), Fails("server", UnavailableError)),
    "no usage": (counted(None), Answers(FIRST)),
    "usage a text": (counted("CANARY"), Answers(FIRST)),
    "negative usage": (counted({"prompt_tokens": -1, "completion_tokens": -2, "total_tokens": -3}), NO_TOKENS),
    "usage in fractions and words": (counted({"prompt_tokens": 7.0, "completion_tokens": "3"}),
                                     Answers(FIRST, usage=Usage(7, 0, 7))),
}  # fmt: skip

BOMB: Final = zipped(b'{"text": "' + bytes(100_000_000))
GOOD: Final = dump(body())
ENCODINGS: Final[Mapping[str, tuple[StartServer, Fails | Answers]]] = {
    "gzip, although nobody may have asked for it": (says(zipped(GOOD), "Content-Encoding: gzip"), WHOLE),
    "a bomb of gzip": (says(BOMB, "Content-Encoding: gzip"), OVERSIZED),
    "brotli": (says(b"\x8b\x02\x80CANARY\x03", "Content-Encoding: br"), MALFORMED),
    "zstd": (says(b"\x28\xb5\x2f\xfd\x04\x00", "Content-Encoding: zstd"), MALFORMED),
    "gzip that ends in the middle": (says(zipped(GOOD)[:-20], "Content-Encoding: gzip"), CUT),
    "damaged gzip": (says(zipped(GOOD)[:20] + b"\xff" * 40, "Content-Encoding: gzip"), MALFORMED),
    "plain text that claims to be gzip": (says(GOOD, "Content-Encoding: gzip"), WHOLE),
    "gzip that does not say so": (says(zipped(GOOD)), MALFORMED),
    "gzip in gzip": (says(zipped(zipped(GOOD)), "Content-Encoding: gzip, gzip"), MALFORMED),
    "gzip in gzip that says so once": (says(zipped(zipped(GOOD)), "Content-Encoding: gzip"), MALFORMED),
}
TOO_MUCH: Final = Repeat(b"x" * 1_000_000)

CASES: Final = [
    *(Case(20, f"200 with {what}", says(data), outcome) for what, (data, outcome) in ANSWERS_AT_200.items()),
    Case(20, "200 with HTML", says(PORTAL, content_type="text/html"), MALFORMED),
    Case(20, "200 with HTML that claims to be a stream", says(PORTAL, content_type="text/event-stream"), MALFORMED),
    Case(20, "204", serving([Send(b"HTTP/1.1 204 No Content\r\n\r\n")]), EMPTY),
    Case(21, "JSON under text/plain", says(GOOD, content_type="text/plain"), WHOLE),
    Case(21, "JSON under no type", says(GOOD, content_type=""), WHOLE),
    Case(21, "JSON under a wrong charset", says(GOOD, content_type="application/json; charset=iso-8859-1"), WHOLE),
    Case(21, "JSON after a byte order mark", says(b"\xef\xbb\xbf" + GOOD), WHOLE),
    Case(21, "JSON in UTF-16", says(json.dumps(body()).encode("utf-16")), MALFORMED),
    Case(21, "JSON with bytes that are not UTF-8", says(GOOD.replace(b"first", b"\xff")), MALFORMED),
    Case(21, "a stream under text/plain",
         serving([Send(ok(events(), content_type="text/plain"))]), WHOLE, ("stream",)),
    *(Case(22, f"JSON that is none: {what}", says(data), MALFORMED) for what, data in JSON_THAT_IS_NONE.items()),
    *(Case(22, f"strange JSON: {what}", says(data), outcome) for what, (data, outcome) in STRANGE_JSON.items()),
    *(Case(23, what, says(data), outcome) for what, (data, outcome) in CHOICES.items()),
    *(Case(26, what, start_server, outcome) for what, (start_server, outcome) in ENCODINGS.items()),
    Case(26, "a stream in gzip", serving([Send(ok(zipped(events()), "Content-Encoding: gzip"))]), WHOLE, ("stream",)),
    Case(27, "a body without end", serving([Send(head() + b'{"text": "'), TOO_MUCH]), OVERSIZED),
    Case(27, "a body of 2 GB", serving([Send(head("Content-Length: 2147483648") + b'{"text": "'), TOO_MUCH]),
         OVERSIZED),
    Case(27, "a line without end",
         serving([Send(head() + b"data: "), Repeat(b"x" * 100_000)]), OVERSIZED),
    Case(27, "a header without end", serving([Send(b"HTTP/1.1 200 OK\r\nX-Long: "), Repeat(b"x" * 10_000)]), CUT),
    Case(27, "headers without end", serving([Send(b"HTTP/1.1 200 OK\r\n"), Repeat(b"X-Many: x\r\n" * 1000)]), CUT),
]  # fmt: skip
