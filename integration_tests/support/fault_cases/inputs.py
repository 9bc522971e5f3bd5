"""Cases 63 to 69: what a caller sends and what a server repeats. All that comes of it is searched for canaries."""

from __future__ import annotations

from typing import Any, Final

from integration_tests.support.fault_cases.refusals import ECHO
from integration_tests.support.fault_harness import Answers, Case, Fails, Raises, StartServer, serving
from integration_tests.support.fault_responses import FIRST, ROLE, answer, error, event, refusal, stream, streamed
from integration_tests.support.fault_server import Send
from unified_llm.exceptions import AuthenticationError, GenerationError, ServiceUnavailableError, ValidationError

GOOD: Final = Answers(FIRST)
CYCLE: Final[dict[str, Any]] = {}
CYCLE["self"] = CYCLE
UNSENDABLE: Final = Raises("unsendable", ValidationError, times=0)  # before anybody is asked
BODIES: Final = {
    "NaN": float("nan"),
    "a set": {"CANARY"},
    "bytes": b"CANARY",
    "an object that holds itself": CYCLE,
    "a lone surrogate": "CANARY\udfff",
}
REFUSALS: Final = {
    "400": Raises("bad_request", ValidationError),
    "401": Fails("auth", AuthenticationError),
    "500": Fails("server", ServiceUnavailableError),
}
CALLS: Final = [
    {"id": f"c{number}", "type": "function", "function": {"name": "wave", "arguments": f'{{"n": {number}}}'}}
    for number in range(10_000)
]
CALLED: Final = tuple(("wave", f'{{"n": {number}}}') for number in range(10_000))
FRAGMENTS: Final = [{"index": number, **call} for number, call in enumerate(CALLS)]


def delta_of(calls: object, reason: str) -> bytes:
    """One event that calls tools and ends."""
    choice = {"index": 0, "delta": {"content": None, "tool_calls": calls}, "finish_reason": reason}
    return event({"id": "r-1", "model": "m", "choices": [choice]})


def offering(parameters: dict[str, Any]) -> dict[str, Any]:
    """A request that offers one tool."""
    return {"tools": [{"type": "function", "function": {"name": "wave", "parameters": parameters}}]}


MANY: Final = offering({"type": "object", "properties": {f"p{each}": {"type": "string"} for each in range(1000)}})
NODE: Final = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
CIRCULAR: Final = offering({"$ref": "#/$defs/node", "$defs": {"node": NODE}})
HOLDS_ITSELF: Final = offering(CYCLE)


def both(what: str, number: int, prompt: str | None = None, **asked: Any) -> list[Case]:
    """A request that is answered, as a call and as a stream."""
    fields: dict[str, Any] = {"options": asked} | ({"prompt": prompt} if prompt else {})
    return [
        Case(number, what, serving([Send(answer())]), GOOD, ("call",), **fields),
        Case(number, what, serving([Send(streamed())]), GOOD, ("stream",), **fields),
    ]


def refused(status: str) -> StartServer:
    """A server that repeats key and prompt wherever its format has room for a text."""
    body = error(ECHO, type=ECHO, code=ECHO, param=ECHO) | {"message": ECHO, "detail": ECHO}
    return serving([Send(refusal(f"{status} Because", body))])


CASES: Final = [
    *both("a prompt with NUL", 63, "CANARY\x00 prompt"),
    *both("a prompt of 10 MB", 63, "CANARY-prompt " * 700_000),
    *(Case(63, f"a body with {what}", serving(), UNSENDABLE, options={"extra_body": {"x": value}})
      for what, value in BODIES.items()),
    Case(63, "a prompt with a lone surrogate", serving(), UNSENDABLE, prompt="CANARY\ud800"),
    *(Case(68, f"{status} that repeats what it was sent", refused(status), outcome)
      for status, outcome in REFUSALS.items()),
    Case(68, "a stream's error that repeats what it was sent",
         serving([Send(stream(ROLE + event(error(ECHO, type=ECHO, code=ECHO))))]),
         Fails("server", ServiceUnavailableError)),
    Case(68, "a page that repeats what it was sent",
         serving([Send(refusal("200 OK", f"<html>{ECHO}".encode(), content_type="text/html"))]),
         Fails("malformed", GenerationError)),
    Case(67, "a refusal, and all that comes of it", refused("500"), REFUSALS["500"]),
    *both("an answer, and all that comes of it", 67),
    *both("a tool of 1,000 properties", 69, **MANY),
    *both("a tool whose schema refers to itself", 69, **CIRCULAR),
    Case(69, "a tool whose schema holds itself", serving(), UNSENDABLE, options=HOLDS_ITSELF),
    Case(69, "10,000 tool calls", serving([Send(answer("", tool_calls=CALLS))]), Answers("", CALLED, "tool_calls")),
    Case(69, "10,000 tool calls in a stream",
         serving([Send(stream(ROLE + delta_of(FRAGMENTS[:5000], "") + delta_of(FRAGMENTS[5000:], "tool_calls")
                              + b"data: [DONE]\n\n"))]), Answers("", CALLED, "tool_calls")),
]  # fmt: skip
