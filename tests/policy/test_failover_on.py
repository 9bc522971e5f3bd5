"""Which failures go on to another target, where the user says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import A, B, PolicyHarness, Result, limited, trip
from tests.support.scripted_targets import Pause, say
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._policy.failure_rules import FAILURE_RULES


def call(harness: PolicyHarness, failover: Mapping[FailureKind, bool], *, streaming: bool = False) -> Result:
    return harness.call(A, B, streaming=streaming, failover=failover)


def test_what_usually_ends_a_call_can_be_made_to_fail_over(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("filter", 400)], "beta/two": [say("B")]})
    result = call(harness, {"filter": True})
    assert result.text == "B"
    assert result.outcomes == [("alpha/one", "filter"), ("beta/two", "ok")]
    assert call(harness, {}).failed


@each("kind", sorted(get_args(FailureKind)))
def test_after_a_failure_that_does_not_fail_over_no_other_target_is_asked(
    make_harness: MakeHarness, kind: FailureKind
) -> None:
    harness = make_harness({"alpha/one": [Failure(kind)], "beta/two": [say("B")]})
    result = call(harness, {kind: False})
    assert set(harness.targets.names) == {"alpha/one"}
    rule = FAILURE_RULES[kind]
    if kind in {"pool", "loading"}:  # until the deadline
        assert len(harness.targets.names) > 10
    else:
        retries = 1 if rule.retry and not rule.only_if_no_other_ready else 0
        assert len(harness.targets.names) == 1 + retries + (rule.uncounted and rule.retry)
    assert result.failed
    assert result.failed.final == (A, Failure(kind))


def test_what_does_not_fail_over_is_waited_for(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(5.0), say("A")], "beta/two": [say("B")]})
    assert call(harness, {"rate_limit": False}).text == "A"
    assert harness.targets.slept == [pytest.approx(5.25)]


def test_a_target_that_was_skipped_before_is_not_asked_after_such_a_failure_either(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [say("A")], "beta/two": [limited(50.0), say("B")]})
    trip(harness, "alpha/one")
    harness.wait(20.0)
    assert call(harness, {"rate_limit": False}).text == "B"
    assert harness.targets.names == ["beta/two"] * 2
    assert harness.known("alpha/one")["state"] == "half_open"


def test_another_failure_of_the_same_target_fails_over_as_usual(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(5.0), Failure("redirect", 301)], "beta/two": [say("B")]})
    assert call(harness, {"rate_limit": False}).text == "B"
    assert harness.targets.names == ["alpha/one", "alpha/one", "beta/two"]


def test_other_kinds_fail_over_as_usual(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [say("B")]})
    assert call(harness, {"rate_limit": False, "filter": True}, streaming=True).text == "B"


def test_after_the_first_chunk_nothing_fails_over_whatever_is_set(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [["A ", Failure("connection")]], "beta/two": [say("B")]})
    assert call(harness, {"connection": True}, streaming=True).failed
    assert harness.targets.names == ["alpha/one"]
