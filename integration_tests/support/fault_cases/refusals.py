"""Cases 15 to 19: error statuses with all kinds of bodies, and the rate-limit headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from integration_tests.support.fault_harness import KEY, PROMPT, Answers, Case, Fails, serving
from integration_tests.support.fault_responses import FIRST, answer, error, refusal, streamed
from integration_tests.support.fault_server import Send
from unified_llm._core.outcome import FailureKind
from unified_llm.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContextOverflowError,
    LLMError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
    TimeoutError,
)

# Servers echo the request.
ECHO: Final = f"You sent {KEY} and {PROMPT!r}."
BODIES: Final[Mapping[str, Mapping[str, Any] | bytes]] = {
    "JSON": error(ECHO),
    "HTML": f"<html><body>{ECHO}</body></html>".encode(),
    "nothing": b"",
    "10 MB": b'{"error": {"message": "' + ECHO.encode() + b"x" * 10_000_000 + b'"}}',
}
INVALID: Final = Fails("bad_request", BadRequestError)
FAILED: Final = Fails("server", ServiceUnavailableError)
STATUSES: Final = {
    400: INVALID,
    401: Fails("auth", AuthenticationError),
    402: Fails("quota", QuotaExceededError),
    403: Fails("permission", PermissionDeniedError),
    404: Fails("not_found", ConfigurationError),
    405: Fails("not_found", ConfigurationError),
    408: Fails("request_timeout", TimeoutError),
    409: Fails("conflict", ServiceUnavailableError),
    413: Fails("too_large", ContextOverflowError),
    415: INVALID,
    422: INVALID,
    425: Fails("conflict", ServiceUnavailableError),
    429: Fails("rate_limit", RateLimitError),
    451: Fails("permission", PermissionDeniedError),
    **dict.fromkeys((500, 502, 503, 504, *range(520, 527), 529), FAILED),
}


def statuses() -> Iterator[Case]:
    """Yield a case for each status with each body."""
    for status, outcome in STATUSES.items():
        for name, body in BODIES.items():
            kind = "text/html" if name == "HTML" else "application/json"
            response = refusal(f"{status} Because", body, content_type=kind)
            yield Case(15, f"{status} with {name}", serving([Send(response)]), outcome)


def coded(status: str, kind: FailureKind, raised: type[LLMError], **fields: Any) -> Case:
    """Return the case of an error response with a code."""
    start_server = serving([Send(refusal(status, error(ECHO, **fields)))])
    return Case(15, f"{status} with {next(iter(fields.values()))}", start_server, Fails(kind, raised))


NOW: Final = "Fri, 20 Nov 2026 12:00:00 GMT"


def throttled(*headers: str) -> bytes:
    """A response with 429 and these headers."""
    return refusal("429 Too Many Requests", error("Slow down."), f"Date: {NOW}", *headers)


def waiting(number: int, *headers: str, seconds: float | None) -> Case:
    """Return a case of 429 with a hint: the fallback answers at once; without it, the error has the delay."""
    outcome = Fails("rate_limit", RateLimitError, facts={"retry_after": seconds})
    return Case(number, f"429 with {', '.join(headers) or 'no hint'}", serving([Send(throttled(*headers))]), outcome)


HINTS: Final = [
    *(waiting(16, f"Retry-After: {value}", seconds=seconds) for value, seconds in [
        ("0", 0.0), ("1.5", 1.5), ("-1", None), ("1e309", None), ("nan", None), ("inf", None), ("9999999", None),
        ("Fri, 20 Nov 2026 11:59:00 GMT", None), ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0), ("Fri, 99 Nov", None),
    ]),
    waiting(16, "Retry-After: 7", "Retry-After: 99", seconds=7.0),
    *(waiting(18, "X-RateLimit-Remaining-Requests: 0", f"X-RateLimit-Reset-Requests: {value}", seconds=seconds)
      for value, seconds in [("6m0s", 360.0), ("120ms", 0.12), ("1795176060", 60.0), ("2026-11-20T12:01:00Z", 60.0)]),
    waiting(18, "X-RateLimit-Remaining-Requests: 5", "X-RateLimit-Reset-Requests: 6m0s", seconds=None),
    waiting(18, seconds=None),
    # A delay within the limits is waited for.
    Case(16, "429 with Retry-After: 0, and then an answer",
         serving([Send(throttled("Retry-After: 0"))], [Send(answer())]),
         Answers(FIRST, times=2, before="rate_limit"), ("call",), {"max_retries": 1, "retry_delay": 0},
         with_fallback=False),
]  # fmt: skip
CONCURRENCY: Final = "INSUFFICIENT QUOTA: too many requests at once."

CASES: Final = [
    *statuses(),
    coded("404 Not Found", "model_not_found", ModelNotFoundError, code="model_not_found"),
    coded("400 Bad Request", "auth", AuthenticationError, code="invalid_api_key"),
    *HINTS,
    Case(17, "429 without credit",
         serving([Send(refusal("429 No", error("Pay.", code="insufficient_quota")))]),
         Fails("quota", QuotaExceededError)),
    Case(17, "429 with a similar message for too many at once",
         serving([Send(refusal("429 No", error(CONCURRENCY)))]), Fails("rate_limit", RateLimitError)),
    Case(19, "x-should-retry: false on a 500", serving([Send(refusal("500 No", b"", "x-should-retry: false"))]),
         FAILED, config={"max_retries": 2}),
    Case(19, "no x-should-retry on a 500", serving([Send(refusal("500 No", b""))]),
         Fails("server", ServiceUnavailableError, times=3), config={"max_retries": 2, "retry_delay": 0}),
    Case(19, "x-should-retry: true on a 400", serving([Send(refusal("400 No", b"", "x-should-retry: true"))]),
         Fails("bad_request", BadRequestError, times=2), config={"max_retries": 1, "retry_delay": 0}),
    Case(19, "x-should-retry: true on a 400, and then an answer",
         serving([Send(refusal("400 No", b"", "x-should-retry: true"))], [Send(answer())]),
         Answers(FIRST, times=2, before="bad_request"), ("call",), {"max_retries": 1, "retry_delay": 0}),
    Case(19, "x-should-retry: true on a 400, and then an answer",
         serving([Send(refusal("400 No", b"", "x-should-retry: true"))], [Send(streamed())]),
         Answers(FIRST, times=2, before="bad_request"), ("stream",), {"max_retries": 1, "retry_delay": 0}),
]  # fmt: skip
