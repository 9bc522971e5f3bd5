"""Cooldowns and waits: throttling, Retry-After, and other hints of servers on retries."""

from __future__ import annotations

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import DEAD, A, B, limited, target
from tests.support.scripted_targets import say
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import RetryLimits

# Throttling


def test_throttling_fails_over_at_once_and_does_not_count_at_the_breaker(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(2.0)], "beta/two": [say("B")]})
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "rate_limit"), ("beta/two", "ok")]
    assert harness.targets.slept == []
    assert harness.known("alpha/one")["consecutive_failures"] == 0


def test_a_target_that_throttles_is_skipped_by_other_calls_until_it_may_be_asked(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(20.0), say("A")], "beta/two": [say("B")]})
    harness.call(A, B)
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "rate limited"
    harness.wait(21.0)
    assert harness.call(A, B).text == "A"


def test_a_target_that_throttles_is_asked_again_when_all_others_have_failed(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(2.0), say("A")], "beta/two": [DEAD]})
    result = harness.call(A, B)
    assert result.text == "A"
    assert harness.targets.names == ["alpha/one", "beta/two", "beta/two", "beta/two", "alpha/one"]


def test_of_two_that_ask_for_a_pause_the_sooner_is_asked_first(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(1.0), say("A")], "beta/two": [limited(50.0)]})
    assert harness.call(A, B).text == "A"
    assert sum(harness.targets.slept) < 2.0


def test_of_several_that_ask_for_a_pause_the_soonest_is_waited_for_when_the_rest_has_failed(
    make_harness: MakeHarness,
) -> None:
    harness = make_harness({"alpha/one": [limited(3.0), say("A")], "beta/two": [limited(9.0)], "gamma/three": [DEAD]})
    assert harness.call(A, B, target("gamma/three", retry=RetryLimits(limit=0))).text == "A"
    assert harness.targets.slept == pytest.approx([3.15], abs=0.05)


def test_a_busy_target_that_asks_for_a_pause_is_not_asked_sooner(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("conflict", 409, retry_after=3.0), say("A")], "beta/two": [DEAD]})
    result = harness.call(A, B)
    assert result.text == "A"
    assert harness.targets.names == ["alpha/one", "beta/two", "beta/two", "beta/two", "alpha/one"]
    assert sum(harness.targets.slept) == pytest.approx(3.15, abs=0.05)


def test_a_lone_target_that_throttles_is_waited_for(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(4.0), say("A")]})
    assert harness.call(A).text == "A"
    assert harness.targets.slept == pytest.approx([4.2])


@pytest.mark.parametrize(("seconds", "slept"), [(60.0, [60.0]), (60.5, [])])
def test_a_wait_of_more_than_a_minute_is_never_begun(
    make_harness: MakeHarness, seconds: float, slept: list[float]
) -> None:
    harness = make_harness({"alpha/one": [limited(seconds), say("A")]})
    harness.targets.draw = 0.0
    assert harness.call(A).text == ("A" if slept else "")
    assert harness.targets.slept == pytest.approx(slept)


@pytest.mark.parametrize(("held", "slept"), [(60.0, [60.0]), (60.5, [])])
def test_a_target_whose_cooldown_lasts_more_than_a_minute_is_asked_rather_than_waited_for(
    make_harness: MakeHarness, held: float, slept: list[float]
) -> None:
    harness = make_harness({"alpha/one": [say("A")]})
    harness.targets.draw = 0.0
    harness.health.start_cooldown(
        A, "rate_limit", harness.targets.clock + held, "rate limited", wait=True, now=harness.targets.clock
    )
    assert harness.call(A).text == "A"
    assert harness.targets.slept == pytest.approx(slept)


@pytest.mark.parametrize(("deadline", "slept"), [(10.0, []), (10.5, [10.0])])
def test_a_cooldown_that_ends_with_the_deadline_is_not_waited_for(
    make_harness: MakeHarness, deadline: float, slept: list[float]
) -> None:
    harness = make_harness({"alpha/one": [say("A")]})
    harness.targets.draw = harness.targets.latency = 0.0
    harness.health.start_cooldown(
        A, "rate_limit", harness.targets.clock + 10.0, "rate limited", wait=True, now=harness.targets.clock
    )
    assert harness.call(A, deadline=deadline).text == "A"
    assert harness.targets.slept == pytest.approx(slept)


def test_a_cooldown_that_grew_in_the_meantime_is_waited_for_and_the_waits_add_up(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [say("A")]})
    harness.targets.draw = 0.0
    harness.health.start_cooldown(
        A, "rate_limit", harness.targets.clock + 2.0, "rate limited", wait=True, now=harness.targets.clock
    )
    harness.health.start_cooldown(
        A,
        "target",
        harness.targets.clock + 5.0,
        "its server asked for a pause (Retry-After)",
        wait=True,
        now=harness.targets.clock,
    )
    result = harness.call(A)
    assert result.text == "A"
    assert harness.targets.slept == pytest.approx([2.0, 3.0])
    assert result.trace.attempts[0].waited == pytest.approx(5.0)


def test_a_wait_that_would_end_with_the_deadline_is_not_begun(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(10.0)]})
    harness.targets.draw = harness.targets.latency = 0.0
    assert harness.call(A, deadline=10.0).failed
    assert harness.targets.slept == []


def test_a_lone_target_with_a_long_cooldown_is_asked_all_the_same(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(300.0), say("A")]})
    harness.call(A)
    assert harness.call(A).text == "A"
    assert harness.targets.slept == []


def test_a_lone_target_with_a_short_cooldown_is_waited_for(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(300.0), say("A")]})
    harness.call(A)
    harness.wait(290.0)
    result = harness.call(A)
    assert result.text == "A"
    assert result.trace.attempts[0].waited == pytest.approx(10.49, abs=0.02)


@pytest.mark.case(48)
def test_calls_that_wait_for_the_same_limit_do_not_come_back_in_the_same_instant(make_harness: MakeHarness) -> None:
    waits: list[float] = []
    for draw in (0.0, 0.5, 1.0):
        harness = make_harness({"alpha/one": [limited(300.0), say("A")]})
        harness.call(A)
        harness.wait(280.0)
        harness.targets.draw = draw
        harness.call(A)
        waits += harness.targets.slept
    assert waits == pytest.approx([20.0, 21.0, 22.0], abs=0.05)


def test_a_rate_limit_belongs_to_the_key_the_model_and_the_region(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(30.0)], "https://west": [say("west")]})
    key = "sk-1"
    here = target(key=key, vendor_host=True)
    west = target(key=key, vendor_host=True, base_url="https://west")
    assert harness.call(here, west).outcomes == [("alpha/one", "rate_limit"), ("alpha/one", "ok")]
    assert harness.call(here, west).outcomes == [("alpha/one", "skipped"), ("alpha/one", "ok")]


def test_a_rate_limit_of_one_model_does_not_hold_another(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(30.0)], "alpha/two": [say("two")]})
    result = harness.call(target(key="sk-1"), target("alpha/two", key="sk-1"))
    assert result.outcomes == [("alpha/one", "rate_limit"), ("alpha/two", "ok")]


@each("kind", ["auth", "permission", "quota", "rate_limit"])
def test_two_servers_with_the_same_dummy_key_are_two_accounts(make_harness: MakeHarness, kind: FailureKind) -> None:
    harness = make_harness({"http://a": [Failure(kind, 401, retry_after=3.0)], "http://b": [say("B")]})
    one, other = (target(key="EMPTY", base_url=url) for url in ("http://a", "http://b"))
    result = harness.call(one, other)
    assert [outcome for _, outcome in result.outcomes] == [kind, "ok"]
    assert harness.targets.slept == []
    assert [outcome for _, outcome in harness.call(one, other).outcomes] == ["skipped", "ok"]


@each("kind", ["auth", "permission", "quota", "rate_limit"])
def test_a_key_that_travels_in_a_header_is_an_account_of_its_own(make_harness: MakeHarness, kind: FailureKind) -> None:
    harness = make_harness({"http://a": [Failure(kind, 401, retry_after=30.0), say("A")], "beta/two": [say("B")]})
    bad, good = (target(base_url="http://a", headers={"X-Api-Key": key}) for key in ("bad", "good"))
    assert harness.call(bad, B).outcomes[0] == ("alpha/one", kind)
    assert harness.call(good, B).outcomes == [("alpha/one", "ok")]
    assert harness.call(bad, B).outcomes[0] == ("alpha/one", "skipped")
    assert harness.call(target(base_url="http://a"), B).outcomes == [("alpha/one", "ok")], (
        "anonymous is another account"
    )


def test_throttling_without_a_hint_starts_a_cooldown_of_the_base_delay(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(), say("A")], "beta/two": [say("B")]})
    assert harness.call(A, B).text == "B"
    assert harness.call(A, B).text == "B"
    harness.wait(1.0)
    assert harness.call(A, B).text == "A"


def test_a_failing_target_that_asks_for_a_pause_gets_it(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("server", 503, retry_after=3.0), say("A")], "beta/two": [say("B")]})
    assert harness.call(A, B).text == "B"
    assert harness.targets.names == ["alpha/one", "beta/two"]
    result = harness.call(A, B)
    assert result.outcomes[0] == ("alpha/one", "skipped")
    assert result.trace.attempts[0].reason == "its server asked for a pause (Retry-After)"
    harness.wait(3.0)
    assert harness.call(A, B).text == "A"


def test_a_server_that_says_come_back_now_is_retried_at_once(make_harness: MakeHarness) -> None:
    harness = make_harness(
        {"alpha/one": [Failure("server", 503, headers={"retry-after": "0"}), say("A")], "beta/two": [say("B")]}
    )
    assert harness.call(A, B).text == "A"


def test_a_lone_failing_target_that_asked_for_a_pause_is_waited_for_by_the_next_call(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("server", 503, retry_after=90.0), say("A")]})
    assert harness.call(A).failed
    harness.wait(80.0)
    assert harness.call(A).text == "A"
    assert harness.targets.slept == pytest.approx([10.5], abs=0.05)


# What the server says of retries


def test_a_server_that_forbids_a_retry_gets_none(make_harness: MakeHarness) -> None:
    dead = Failure("server", 500, headers={"x-should-retry": "false"})
    harness = make_harness({"alpha/one": [dead], "beta/two": [say("B")]})
    harness.call(A, B)
    assert harness.targets.names == ["alpha/one", "beta/two"]


def test_a_server_that_invites_a_retry_gets_it_and_the_failure_is_still_the_callers(make_harness: MakeHarness) -> None:
    bad = Failure("filter", 400, headers={"x-should-retry": "true", "retry-after": "2"})
    harness = make_harness({"alpha/one": [bad], "beta/two": [say("B")]})
    result = harness.call(A, B)
    assert harness.targets.names == ["alpha/one"] * 2
    assert result.failed
    assert result.failed.final == (A, bad)


@pytest.mark.parametrize("wait", ["120", "1000"])
def test_an_invitation_that_lies_too_far_ahead_does_not_turn_a_filter_into_a_failover(
    make_harness: MakeHarness, wait: str
) -> None:
    bad = Failure("filter", 400, headers={"x-should-retry": "true", "retry-after": wait})
    harness = make_harness({"alpha/one": [bad], "beta/two": [say("B")]})
    assert harness.call(A, B).failed
    assert harness.targets.names == ["alpha/one"]


def test_a_refused_key_is_not_tried_again_even_if_the_server_invites_that(make_harness: MakeHarness) -> None:
    refused = Failure("auth", 401, headers={"x-should-retry": "true"})
    harness = make_harness({"alpha/one": [refused]})
    harness.call(A)
    assert harness.targets.names == ["alpha/one"]
    assert harness.targets.slept == []
