"""What is recorded of each attempt, word for word."""

from __future__ import annotations

import pytest

from tests.support.policy_harness import A, target
from unified_llm._core.outcome import Done, Failure
from unified_llm._policy.breaker import Permit
from unified_llm._policy.trace import RunningAttempt, Trace
from unified_llm.types import Attempt


def running(**fields: object) -> RunningAttempt:
    times = {"started": 10.0, "limit": 30.0, "until": 40.0}
    return RunningAttempt(**{"number": 1, "target": A, "permit": Permit(0), **times, **fields})  # type: ignore[arg-type]


def test_a_failure_is_recorded_with_all_that_is_known_of_it() -> None:
    trace = Trace()
    failure = Failure("rate_limit", 429, code="slow_down", detail="the prompt", request_id="req-7")
    trace.record_end(running(waited=2.5, retry=True), failure, 10.75)
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
    assert trace.failed == [(A, "rate_limit")]
    assert trace.served is None


def test_an_answer_is_recorded_with_its_times_and_its_request() -> None:
    trace = Trace()
    trace.record_end(running(first_token=0.5), Done("answer", "req-8"), 13.0)
    assert trace.attempts == [Attempt("alpha/one", "ok", seconds=3.0, first_token=0.5, request_id="req-8")]
    assert trace.failed == []
    assert trace.served is A


def test_what_was_cancelled_has_no_request_and_may_be_billed() -> None:
    trace = Trace()
    trace.record_end(running(), None, 11.0)
    trace.record_end(running(), None, 11.0, reason="another was quicker")
    assert trace.attempts == [
        Attempt("alpha/one", "cancelled", seconds=1.0, maybe_billed=True),
        Attempt("alpha/one", "cancelled", seconds=1.0, maybe_billed=True, reason="another was quicker"),
    ]
    assert trace.failed == []
    assert trace.served is None


@pytest.mark.parametrize(("kind", "billed"), [("timeout", True), ("truncated", True), ("server", False)])
def test_a_failure_may_be_billed_where_the_work_may_have_been_done(kind: str, *, billed: bool) -> None:
    trace = Trace()
    trace.record_end(running(), Failure(kind), 11.0)  # type: ignore[arg-type]
    assert trace.attempts[0].maybe_billed is billed


def test_the_callback_gets_each_attempt_as_it_is_recorded() -> None:
    recorded: list[Attempt] = []
    trace = Trace(recorded.append)
    trace.record_skip(target("beta/two"), "breaker open")
    assert recorded == [Attempt("beta/two", "skipped", reason="breaker open")]
    trace.record_end(running(), Failure("server", 503), 11.0)
    assert recorded == trace.attempts
    assert trace.attempt_count == 1
