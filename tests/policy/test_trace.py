"""What is recorded of each attempt, word for word."""

from __future__ import annotations

from typing import get_args

from tests.support.each import each
from tests.support.policy_harness import A, target
from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._core.target import BreakerConfig
from unified_llm._policy.breaker import CircuitBreaker
from unified_llm._policy.target_health import Permit
from unified_llm._policy.trace import RunningAttempt, Trace, make_attempt
from unified_llm.types import Attempt

PERMIT = Permit(0, CircuitBreaker(BreakerConfig(), 30.0), 0.0)


def running(**fields: object) -> RunningAttempt:
    times = {"started": 10.0, "limit": 30.0, "until": 40.0}
    return RunningAttempt(**{"number": 1, "target": A, "permit": PERMIT, **times, **fields})  # type: ignore[arg-type]


def end(
    trace: Trace, attempt: RunningAttempt, outcome: Done | Failure | None, now: float, *, reason: str | None = None
) -> None:
    trace.record_end(attempt, make_attempt(attempt, outcome, now, reason=reason), outcome)


def test_a_failure_is_recorded_with_all_that_is_known_of_it() -> None:
    trace = Trace()
    failure = Failure("rate_limit", 429, code="slow_down", detail="the prompt", request_id="req-7")
    end(trace, running(waited=2.5, retry=True), failure, 10.75)
    assert trace.attempts == [
        Attempt(
            "alpha/one",
            "rate_limit",
            status=429,
            seconds=0.75,
            waited=2.5,
            request_id="req-7",
            reason="slow_down",
            maybe_billed=False,
            retry=True,
        )
    ]
    assert trace.failed == [(A, trace.attempts[0])]
    assert trace.served is None


def test_an_answer_is_recorded_with_its_times_and_its_request() -> None:
    trace = Trace()
    end(trace, running(first_token=0.5), Done("answer", "req-8"), 13.0)
    assert trace.attempts == [Attempt("alpha/one", "ok", seconds=3.0, first_token=0.5, request_id="req-8")]
    assert trace.failed == []
    assert (trace.served, trace.request_id) == (A, "req-8")


def test_what_was_cancelled_has_no_request_and_may_be_billed() -> None:
    trace = Trace()
    end(trace, running(), None, 11.0)
    end(trace, running(), None, 11.0, reason="another was quicker")
    assert trace.attempts == [
        Attempt("alpha/one", "cancelled", seconds=1.0, maybe_billed=True),
        Attempt("alpha/one", "cancelled", seconds=1.0, maybe_billed=True, reason="another was quicker"),
    ]
    assert trace.failed == []
    assert trace.served is None


@each(("kind", "billed"), [("timeout", True), ("truncated", True), ("server", False)])
def test_a_failure_may_be_billed_where_the_work_may_have_been_done(kind: str, *, billed: bool) -> None:
    trace = Trace()
    end(trace, running(), Failure(kind), 11.0)  # type: ignore[arg-type]
    assert trace.attempts[0].maybe_billed is billed


def test_the_callback_gets_each_attempt_as_it_is_recorded() -> None:
    recorded: list[Attempt] = []
    trace = Trace(recorded.append)
    trace.record_skip(target("beta/two"), "circuit breaker open", 5.0)
    assert recorded == [Attempt("beta/two", "skipped", reason="circuit breaker open")]
    end(trace, running(), Failure("server", 503), 11.0)
    assert recorded == trace.attempts
    assert trace.attempt_count == 1


def test_attempts_are_in_the_order_in_which_they_began() -> None:
    trace = Trace()
    trace.record_skip(target("beta/two"), "circuit breaker open", 1.0)
    end(trace, running(number=2, started=4.0), None, 6.0, reason="hedged")
    end(trace, running(number=1, started=2.0), Done("answer", "req-8"), 7.0)
    trace.record_skip(target("gamma/three"), "it cannot read images", 7.0)
    assert [attempt.outcome for attempt in trace.attempts] == ["skipped", "ok", "cancelled", "skipped"]
    assert trace.request_id == "req-8"


@each(
    ("attempt", "sentence"),
    [
        (Attempt("a/b", "ok"), "answered"),
        (Attempt("a/b", "connect", seconds=0.3), "could not connect"),
        (Attempt("a/b", "server", status=503), "HTTP 503"),
        (Attempt("a/b", "server"), "server error"),
        (Attempt("a/b", "timeout", seconds=20.0004), "timed out after 20 s"),
        (Attempt("a/b", "rate_limit", status=429, retry_after=30.0), "rate limited for 30 s, HTTP 429"),
        (Attempt("a/b", "rate_limit", status=429), "rate limited, HTTP 429"),
        (Attempt("a/b", "auth", status=401, reason="invalid_api_key"), "authentication failed, HTTP 401"),
        (Attempt("a/b", "skipped", reason="circuit breaker open"), "skipped: circuit breaker open"),
        (Attempt("a/b", "cancelled", reason="hedged"), "cancelled: another attempt answered first"),
        (Attempt("a/b", "cancelled"), "cancelled"),
    ],
)
def test_an_attempt_says_what_happened(attempt: Attempt, sentence: str) -> None:
    assert str(attempt) == sentence


def test_every_kind_of_failure_has_a_sentence_of_its_own() -> None:
    sentences = [str(Attempt("a/b", kind)) for kind in get_args(FailureKind)]
    assert len(set(sentences)) == len(sentences)
    assert not [sentence for sentence in sentences if sentence in get_args(FailureKind)]
