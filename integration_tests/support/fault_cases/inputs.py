"""Cases 63 to 69: inputs of callers and servers that echo them. All outputs are searched for canaries."""

from __future__ import annotations

from typing import Any, Final

from integration_tests.support.fault_cases.refusals import ECHO
from integration_tests.support.fault_harness import Answers, Case, Fails, Raises, StartServer, serving
from integration_tests.support.fault_responses import FIRST, ROLE, answer, error, event, refusal, stream, streamed
from integration_tests.support.fault_server import Send
from unified_llm.exceptions import (
    AuthenticationError,
    BadRequestError,
    GenerationError,
    ServiceUnavailableError,
    ValidationError,
)

GOOD: Final = Answers(FIRST)
CYCLE: Final[dict[str, Any]] = {}
CYCLE["self"] = CYCLE
UNSENDABLE: Final = Raises("unsendable", ValidationError, times=0)  # every target is skipped
BODIES: Final = {
    "NaN": float("nan"),
    "a set": {"CANARY"},
    "bytes": b"CANARY",
    "an object that holds itself": CYCLE,
    "a lone surrogate": "CANARY\udfff",
}
REFUSALS: Final = {
    "400": Fails("bad_request", BadRequestError),
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
    """One event with tool calls and a finish reason."""
    choice = {"index": 0, "delta": {"content": None, "tool_calls": calls}, "finish_reason": reason}
    return event({"id": "r-1", "model": "m", "choices": [choice]})


def offering(parameters: dict[str, Any]) -> dict[str, Any]:
    """A request that offers one tool."""
    return {"tools": [{"type": "function", "function": {"name": "wave", "parameters": parameters}}]}


MANY: Final = offering({"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(1000)}})
NODE: Final = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
CIRCULAR: Final = offering({"$ref": "#/$defs/node", "$defs": {"node": NODE}})
HOLDS_ITSELF: Final = offering(CYCLE)


def both(title: str, number: int, prompt: str | None = None, **asked: Any) -> list[Case]:
    """Return the cases of a request that succeeds, as a call and as a stream."""
    fields: dict[str, Any] = {"options": asked} | ({"prompt": prompt} if prompt else {})
    return [
        Case(number, title, serving([Send(answer())]), GOOD, ("call",), **fields),
        Case(number, title, serving([Send(streamed())]), GOOD, ("stream",), **fields),
    ]


def refused(status: str) -> StartServer:
    """A server that echoes key and prompt in every text field of its format."""
    body = error(ECHO, type=ECHO, code=ECHO, param=ECHO) | {"message": ECHO, "detail": ECHO}
    return serving([Send(refusal(f"{status} Because", body))])


CASES: Final = [
    *both("a prompt with NUL", 63, "CANARY\x00 prompt"),
    *both("a prompt of 10 MB", 63, "CANARY-prompt " * 700_000),
    *(Case(63, f"a body with {name}", serving(), UNSENDABLE, options={"extra_body": {"x": value}})
      for name, value in BODIES.items()),
    Case(63, "a prompt with a lone surrogate", serving(), UNSENDABLE, prompt="CANARY\ud800"),
    *(Case(68, f"{status} that repeats what it was sent", refused(status), outcome)
      for status, outcome in REFUSALS.items()),
    Case(68, "a stream's error that repeats what it was sent",
         serving([Send(stream(ROLE + event(error(ECHO, type=ECHO, code=ECHO))))]),
         Fails("server", ServiceUnavailableError)),
    Case(68, "a page that repeats what it was sent",
         serving([Send(refusal("200 OK", f"<html>{ECHO}".encode(), content_type="text/html"))]),
         Fails("malformed", GenerationError)),
    Case(67, "a refusal, and all its outputs", refused("500"), REFUSALS["500"]),
    *both("an answer, and all its outputs", 67),
    *both("a tool of 1,000 properties", 69, **MANY),
    *both("a tool whose schema refers to itself", 69, **CIRCULAR),
    Case(69, "a tool whose schema holds itself", serving(), UNSENDABLE, options=HOLDS_ITSELF),
    Case(69, "10,000 tool calls", serving([Send(answer("", tool_calls=CALLS))]), Answers("", CALLED, "tool_calls")),
    Case(69, "10,000 tool calls in a stream",
         serving([Send(stream(ROLE + delta_of(FRAGMENTS[:5000], "") + delta_of(FRAGMENTS[5000:], "tool_calls")
                              + b"data: [DONE]\n\n"))]), Answers("", CALLED, "tool_calls")),
]  # fmt: skip
