"""A request that a target refuses (HTTP 400 and the like), or that cannot be written for it: who is asked next."""

from __future__ import annotations

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import DEAD, A, B, C, target, trip
from tests.support.scripted_targets import Attempt, say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import RetryLimits
from unified_llm._policy.call_state import MAX_ATTEMPTS
from unified_llm._policy.trace import UNWRITABLE

BAD = Failure("bad_request", 400)
UNSENDABLE = Failure("unsendable")
BOTH = pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])


@BOTH
def test_wire_f1_local_2_the_next_target_answers_what_one_refused(
    make_harness: MakeHarness, *, streaming: bool
) -> None:
    harness = make_harness({"alpha/one": [BAD], "beta/two": [say("B")]})
    for _ in range(7):  # more than open a breaker
        result = harness.call(A, B, streaming=streaming)
        assert result.text == "B"
        assert result.outcomes == [("alpha/one", "bad_request"), ("beta/two", "ok")]
    assert harness.targets.slept == []
    assert harness.changes == []
    row = harness.known("alpha/one")
    assert (row["state"], row["consecutive_failures"], row["retry_budget"], row["retry_in"]) == ("closed", 0, 10.0, 0.0)
    assert (row["refused"], harness.known("beta/two")["refused"]) == (7, 0)


@each("retry", [RetryLimits(), RetryLimits(limit=0), RetryLimits(limit=9)])
def test_every_target_is_asked_once_for_a_request_that_all_refuse(
    make_harness: MakeHarness, retry: RetryLimits
) -> None:
    names = [f"p{number}/m" for number in range(MAX_ATTEMPTS + 3)]
    harness = make_harness({name: [BAD] for name in names})
    result = harness.call(*(target(name, retry=retry) for name in names))
    assert harness.targets.names == names
    assert result.failed
    assert result.failed.final is None
    assert [failure.kind for _, failure in result.failed.failures] == ["bad_request"] * len(names)


def test_a_target_that_is_asked_after_a_refusal_is_retried_for_its_own_failures_as_usual(
    make_harness: MakeHarness,
) -> None:
    harness = make_harness({"alpha/one": [BAD], "beta/two": [DEAD, DEAD, say("B")]})
    assert harness.call(A, B).text == "B"
    assert harness.targets.names == ["alpha/one", *["beta/two"] * 3]
    harness = make_harness({"alpha/one": [DEAD, BAD], "beta/two": [BAD], "gamma/three": [say("C")]})
    assert harness.call(A, B, C).text == "C"
    assert harness.targets.names == ["alpha/one", "alpha/one", "beta/two", "gamma/three"]


def test_a_refusal_is_raised_at_once_where_the_user_wants_that(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [BAD], "beta/two": [say("B")]})
    result = harness.call(A, B, failover={"bad_request": False})
    assert harness.targets.names == ["alpha/one"]
    assert result.failed
    assert result.failed.final == (A, BAD)


def test_a_target_whose_breaker_is_open_is_asked_too_before_the_call_fails(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [BAD], "beta/two": [say("B")]})
    trip(harness, "beta/two")
    assert harness.call(A, B).text == "B"


@BOTH
def test_a_target_that_the_request_cannot_be_written_for_is_skipped_and_counts_for_no_limit(
    make_harness: MakeHarness, *, streaming: bool
) -> None:
    unwritable: list[str] = [f"p{number}/m" for number in range(MAX_ATTEMPTS)]
    script: dict[str, list[Attempt]] = {name: [UNSENDABLE] for name in unwritable}
    harness = make_harness({**script, "alpha/one": [DEAD, DEAD, say("A")]})
    result = harness.call(*map(target, unwritable), A, streaming=streaming)
    assert result.text == "A"
    assert result.outcomes[: len(unwritable)] == [(name, "skipped") for name in unwritable]
    assert {attempt.reason for attempt in result.trace.attempts[: len(unwritable)]} == {UNWRITABLE}
    assert result.trace.attempt_count == 3
    assert harness.known(unwritable[0])["refused"] == 0


def test_it_may_still_be_written_in_another_form(make_harness: MakeHarness) -> None:
    again = Failure("unsendable", try_again=True)
    harness = make_harness({"alpha/one": [again, say("A")]})
    retry = RetryLimits(limit=0)  # nothing was sent, so this is the first request
    result = harness.call(target(retry=retry))
    assert result.outcomes == [("alpha/one", "unsendable"), ("alpha/one", "ok")]
    assert not result.trace.attempts[1].retry
