"""Cases 28 to 41: streams that break, stall, or have an unusual notation, and whole responses that break."""

from __future__ import annotations

import json
from typing import Final

from integration_tests.support.fault_harness import Answers, Breaks, Case, Fails, StartServer, serving
from integration_tests.support.fault_responses import (
    DONE,
    END,
    FIRST,
    ROLE,
    answer,
    begun,
    body,
    delta,
    dump,
    error,
    event,
    events,
    stream,
    streamed,
)
from integration_tests.support.fault_server import (
    CHUNKED,
    LAST_CHUNK,
    Close,
    Hang,
    Repeat,
    Reset,
    Send,
    Sleep,
    Step,
    chunk,
    head,
)
from unified_llm._core.outcome import FailureKind
from unified_llm.exceptions import (
    ConnectionError,
    GenerationError,
    LLMError,
    RateLimitError,
    ServiceUnavailableError,
    TimeoutError,
)
from unified_llm.types import Usage

STREAM: Final = ("stream",)
CALL: Final = ("call",)
SOON: Final = {"deadline": 0.3}
AFTER_THE_FIRST: Final = {"deadline": 2.5}
"""Seconds of a call that the first texts reach before its deadline, on a busy machine too."""
LENGTH: Final = "Content-Length: 5000"
FRAMINGS: Final = {"chunked": CHUNKED, "with a length": LENGTH, "until the connection ends": ""}
ENDS: Final[dict[str, Step]] = {"closed": Close(), "reset": Reset()}
TWO: Final = delta("CANARY-answer ") + delta("of ")
PARTIAL: Final = "CANARY-answer of "
CUT: Final = Fails("connection", ConnectionError)
TRUNCATED: Final = Fails("truncated", GenerationError)
LATE: Final = Fails("timeout", TimeoutError)
GOOD: Final = Answers(FIRST)


def runs(*steps: Step | bytes) -> StartServer:
    """A server that runs these steps for each request."""
    return serving([Send(step) if isinstance(step, bytes) else step for step in steps])


def whole(data: bytes) -> StartServer:
    """A server that streams this data completely."""
    return runs(stream(data))


def cut(data: bytes, framing: str, end: Step) -> StartServer:
    """A server that closes the connection after this part of a body."""
    # A reset discards data that has not arrived yet, so wait before it.
    return runs(begun(data, framing), Sleep(0.03), end)


# Whole responses and streams


def cuts() -> list[Case]:
    """Return the cases of a body that ends too early, by its framing and by how the connection ended."""
    cases: list[Case] = []
    for how, framing in FRAMINGS.items():
        for ending, end in ENDS.items():
            name = f"{how}, {ending}"
            # Such a body ends with the connection, so only its contents show that it is incomplete.
            orderly = not framing and isinstance(end, Close)
            cases += [
                Case(28, f"cut before the first event, {name}", cut(b"", framing, end),
                     Fails("empty", GenerationError) if orderly else CUT),
                Case(28, f"cut after the role alone, {name}", cut(ROLE, framing, end),
                     TRUNCATED if orderly else CUT, STREAM),
                Case(29, f"cut after two texts, {name}", cut(ROLE + TWO, framing, end),
                     Breaks("truncated" if orderly else "connection", PARTIAL), STREAM),
                Case(29, f"cut within an event, {name}", cut(ROLE + TWO + b'data: {"cho', framing, end),
                     Breaks("truncated" if orderly else "connection", PARTIAL), STREAM),
                Case(29, f"cut within the answer, {name}", cut(dump(body())[:80], framing, end),
                     Fails("malformed", GenerationError) if orderly else CUT, CALL),
            ]  # fmt: skip
    return cases


# The notation of events


def with_line_ends(end: bytes) -> bytes:
    """A stream with these line ends."""
    return events().replace(b"\n", end)


WIDE: Final = "Grüße, 你好"


def sliced(size: int) -> Step:
    """A stream in parts of so many bytes; it has a character of three bytes and CRLFs."""
    return Send(stream(events(WIDE).replace(b"\n", b"\r\n")), every=size)


def multiline(data: object) -> bytes:
    """One event with several data lines."""
    return b"".join(b"data: " + line + b"\n" for line in json.dumps(data, indent=1).encode().splitlines()) + b"\n"


CHUNK: Final = {"id": "r-1", "model": "m", "choices": [{"index": 0, "delta": {"content": FIRST}}]}
ADORNED: Final = b": hi\n\nretry: 5\n\nid: 7\nevent: message\n" + delta(FIRST) + b"retry: 5\n\n" + END
SEPARATORS: Final = FIRST + " \u2028 \u2029 \x85 \x0b \x0c"
SHAPES: Final = {
    "data: without a space": (events().replace(b"data: ", b"data:"), FIRST),
    "several data lines": (ROLE + multiline(CHUNK) + END, FIRST),
    "id, retry, comments and names": (ADORNED, FIRST),
    "lines that end in CR": (with_line_ends(b"\r"), FIRST),
    "lines that end in CRLF": (with_line_ends(b"\r\n"), FIRST),
    "a byte order mark": (b"\xef\xbb\xbf" + events(), FIRST),
    "other line separators in the text": (ROLE + delta(SEPARATORS) + END, SEPARATORS),
    "no blank line at the end": (events().removesuffix(b"\n"), FIRST),
    "no space and no blank line at the end": (events().removesuffix(b"data: [DONE]\n\n") + b"data:[DONE]", FIRST),
}


# Tool calls


def tool(arguments: str, index: int | None = 0, identifier: str | None = None, name: str | None = None) -> bytes:
    """One fragment of a tool call."""
    call: dict[str, object] = {"function": {"arguments": arguments} | ({"name": name} if name else {})}
    call |= {key: value for key, value in (("index", index), ("id", identifier)) if value is not None}
    return delta(tool_calls=[call])


def called(*fragments: bytes) -> bytes:
    """A stream that ends in tool calls."""
    return ROLE + b"".join(fragments) + delta(reason="tool_calls") + DONE


LONG: Final = json.dumps({"text": "CANARY-argument " * 20})
WAVE: Final = ("wave", '{"a": 1}')
NOD: Final = ("nod", '{"b": 2}')
BOTH: Final = (WAVE, NOD)
HUNDRED: Final = [tool(LONG[at : at + 4]) for at in range(0, len(LONG), 4)]
CALLS: Final = {
    "arguments in many fragments": (called(tool("", 0, "c1", "wave"), *HUNDRED), (("wave", LONG),)),
    "two calls, interleaved": (
        called(tool('{"a"', 0, "c1", "wave"), tool('{"b"', 1, "c2", "nod"), tool(": 1}", 0), tool(": 2}", 1)), BOTH),
    "no index": (called(tool('{"a": 1}', None, "c1", "wave"), tool('{"b": 2}', None, "c2", "nod")), BOTH),
    "one index for all": (called(tool('{"a": 1}', 0, "c1", "wave"), tool('{"b": 2}', 0, "c2", "nod")), BOTH),
    "the id in every fragment": (
        called(tool('{"a"', 0, "c1", "wave"), tool(": 1}", 0, "c1")), (WAVE,)),
    "no id at all": (called(tool('{"a": 1}', 0, None, "wave"), tool('{"b": 2}', 1, None, "nod")), BOTH),
    "arguments that are no JSON": (called(tool("{a: 1", 0, "c1", "wave")), (("wave", "{a: 1"),)),
    "a call that ends with stop": (ROLE + tool('{"a": 1}', 0, "c1", "wave") + END, (WAVE,)),
}  # fmt: skip
WHOLE_CALLS: Final = [
    {"id": "c1", "type": "function", "function": {"name": "wave", "arguments": '{"a": 1}'}},
    {"type": "function", "function": {"name": "nod", "arguments": {"b": 2}}},
    None,
    {"type": "custom"},
]

# Error events and invalid events

FAILED: Final = event(error("CANARY"))
LIMITED: Final = event(error("CANARY", code=429))
BROKEN: Final = b'data: {"choices": [CANARY\n\n'
GIVEN_UP: Final = event({"error": {"code": 502, "message": "CANARY"}, "choices": [
    {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]})  # fmt: skip
FAULTS: Final[list[tuple[int, str, bytes, FailureKind, type[LLMError]]]] = [
    (34, "an error event", FAILED, "server", ServiceUnavailableError),
    (34, "an error event of a rate limit", LIMITED, "rate_limit", RateLimitError),
    (34, "an error event as OpenRouter sends it", GIVEN_UP, "server", ServiceUnavailableError),
    (34, "an event named error", b"event: error\n" + FAILED, "server", ServiceUnavailableError),
    (35, "malformed JSON", BROKEN, "malformed", GenerationError),
    (35, "a list in place of an object", b"data: [1]\n\n", "malformed", GenerationError),
    (35, "too deep JSON", b"data: " + b"[" * 100_000 + b"\n\n", "malformed", GenerationError),
    (38, "an event of more than 1 MB", delta("x" * 1_100_000), "oversized", GenerationError),
]
PINGS: Final = Repeat(chunk(b": ping\n\n"), pause=0.02)
KEPT_ALIVE: Final = Repeat(chunk(b": OPENROUTER PROCESSING\n\n"), times=20)
DRIP: Final = 0.05

CASES: Final = [
    *cuts(),
    Case(30, "a clean end without the terminal event", whole(ROLE + TWO), Breaks("truncated", PARTIAL), STREAM),
    Case(30, "a clean end before any text", whole(ROLE), TRUNCATED, STREAM),
    Case(30, "a clean end after the reason to finish", whole(ROLE + delta(FIRST) + delta(reason="stop")), GOOD, STREAM),
    Case(30, "the terminal event, and a server that keeps the connection open", runs(begun(events()), Hang()), GOOD,
         STREAM),
    Case(30, "the terminal event and then a reset", runs(begun(events()), Sleep(0.03), Reset()), GOOD, STREAM),
    Case(30, "the terminal event and then more", whole(events() + delta("CANARY-more") * 9), GOOD, STREAM),
    Case(30, "an unrequested stream without its terminal event", whole(ROLE + TWO), TRUNCATED, CALL),
    Case(32, "comments and no answer", runs(head(CHUNKED), PINGS), LATE, config={"timeout": 0.2}),
    Case(32, "comments and no more after the first texts", runs(begun(ROLE + TWO), PINGS),
         Breaks("timeout", PARTIAL), STREAM, options=AFTER_THE_FIRST),
    Case(32, "comments, and then the answer",
         runs(head(CHUNKED), KEPT_ALIVE, chunk(events()), LAST_CHUNK), GOOD, STREAM),
    Case(32, "white space, and then the answer",
         runs(head(CHUNKED), Repeat(chunk(b"\n"), times=20), chunk(dump(body())), LAST_CHUNK), GOOD, CALL),
    Case(33, "a drip of an answer", serving([Send(answer(), 1, DRIP)]), LATE, CALL, {"timeout": 0.2}),
    Case(33, "a drip of an answer until the deadline", serving([Send(answer(), 1, DRIP)]),
         LATE, CALL, options=SOON),
    Case(33, "a drip before the first text", serving([Send(streamed(), 1, DRIP)]), LATE, STREAM, {"timeout": 0.2}),
    Case(33, "a drip until the deadline", serving([Send(begun(ROLE + TWO)), Repeat(chunk(b":"), pause=DRIP)]),
         Breaks("timeout", PARTIAL), STREAM, options=AFTER_THE_FIRST),
    *(Case(number, f"{title} before the first text", whole(ROLE + data + END), Fails(kind, raised), STREAM)
      for number, title, data, kind, raised in FAULTS),
    *(Case(number, f"{title} after the first texts", whole(ROLE + TWO + data + END), Breaks(kind, PARTIAL), STREAM)
      for number, title, data, kind, raised in FAULTS),
    *(Case(number, f"{title} in an unrequested stream", whole(ROLE + TWO + data + END), Fails(kind, raised), CALL)
      for number, title, data, kind, raised in FAULTS),
    *(Case(36, f"a stream in pieces of {size}", serving([sliced(size)]), Answers(WIDE), STREAM)
      for size in (1, 2, 3, 7)),
    Case(36, "an answer in pieces of 1", serving([Send(answer(WIDE), every=1)]), Answers(WIDE), CALL),
    *(Case(37, title, whole(data), Answers(text), STREAM) for title, (data, text) in SHAPES.items()),
    Case(38, "an event of nearly 1 MB", whole(ROLE + delta("x" * 1_000_000) + END), Answers("x" * 1_000_000), STREAM),
    Case(38, "an answer of 5 MB", runs(answer("x" * 5_000_000)), Answers("x" * 5_000_000), CALL),
    *(Case(39, title, whole(data), Answers("", calls, "tool_calls")) for title, (data, calls) in CALLS.items()),
    Case(39, "a whole answer with calls of every kind", runs(answer("", tool_calls=WHOLE_CALLS)),
         Answers("", (WAVE, ("nod", '{"b":2}')), "tool_calls")),
    Case(41, "a whole answer in place of a stream", runs(answer()), Answers(FIRST, usage=Usage(7, 3, 10)), STREAM),
    Case(41, "a stream in place of a whole answer", runs(streamed()), GOOD, CALL),
    Case(41, "a whole answer that claims to be a stream",
         runs(head(f"Content-Length: {len(dump(body()))}") + dump(body())), GOOD),
]  # fmt: skip
