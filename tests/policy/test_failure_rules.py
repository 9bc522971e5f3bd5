"""Every kind of failure: which target is tried next, and what it counts for at the breaker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import target
from tests.support.scripted_targets import Attempt, Pause, say
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._policy.failure_rules import FAILURE_RULES, MAYBE_BILLED


@dataclass(frozen=True)
class Expected:
    """Expected behaviour after a failure of the first target.

    alone: how often it is tried when there is no other, None for until the deadline; beside: when there is; then:
    whether the other is tried; counts: what one failure adds at the breaker; spends: whether a retry costs a token of
    the budget; resent: how many of the attempts are the request sent again, which costs none.
    """

    alone: int | None
    beside: int
    then: bool
    counts: int
    spends: bool = True
    resent: int = 0


EXPECTED: dict[FailureKind, Expected] = {
    "connect": Expected(alone=3, beside=2, then=True, counts=1, spends=False),
    "tls": Expected(alone=1, beside=1, then=True, counts=1),
    "pool": Expected(alone=None, beside=1, then=True, counts=0, spends=False),
    "setup": Expected(alone=1, beside=1, then=True, counts=0),
    "unsendable": Expected(alone=1, beside=1, then=True, counts=0),
    "connection": Expected(alone=3, beside=2, then=True, counts=1),
    "stale": Expected(alone=4, beside=3, then=True, counts=0, resent=1),
    "timeout": Expected(alone=2, beside=1, then=True, counts=2),
    "auth": Expected(alone=1, beside=1, then=True, counts=0),
    "permission": Expected(alone=1, beside=1, then=True, counts=0),
    "quota": Expected(alone=1, beside=1, then=True, counts=0),
    "rate_limit": Expected(alone=3, beside=1, then=True, counts=0),
    "model_not_found": Expected(alone=1, beside=1, then=True, counts=0),
    "not_found": Expected(alone=1, beside=1, then=True, counts=0),
    "redirect": Expected(alone=1, beside=1, then=True, counts=0),
    "bad_request": Expected(alone=1, beside=1, then=True, counts=0),
    "unsupported": Expected(alone=1, beside=1, then=True, counts=0),
    "context": Expected(alone=1, beside=1, then=True, counts=0),
    "too_large": Expected(alone=1, beside=1, then=True, counts=0),
    "filter": Expected(alone=1, beside=1, then=False, counts=0),
    "conflict": Expected(alone=3, beside=2, then=True, counts=0),
    "request_timeout": Expected(alone=3, beside=2, then=True, counts=1),
    "server": Expected(alone=3, beside=2, then=True, counts=1),
    "loading": Expected(alone=None, beside=1, then=True, counts=0, spends=False),
    "malformed": Expected(alone=3, beside=2, then=True, counts=1),
    "empty": Expected(alone=2, beside=1, then=True, counts=0),
    "truncated": Expected(alone=3, beside=2, then=True, counts=1),
    "invalid": Expected(alone=3, beside=2, then=True, counts=0),
    "oversized": Expected(alone=1, beside=1, then=True, counts=1),
}
KINDS = sorted(EXPECTED)
BOTH = pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])


def attempt(kind: FailureKind) -> Attempt:
    """Return an attempt that fails so: a timeout where a read never gets an event, all else when it is opened."""
    return [Pause()] if kind == "timeout" else Failure(kind, 400)


def test_every_kind_of_failure_has_a_rule_and_a_row_here() -> None:
    assert set(EXPECTED) == set(FAILURE_RULES) == set(get_args(FailureKind))


@BOTH
@each("kind", KINDS)
def test_a_target_that_is_alone_is_asked_as_often_as_its_failure_allows(
    kind: FailureKind, make_harness: MakeHarness, *, streaming: bool
) -> None:
    harness = make_harness({"alpha/one": [attempt(kind)]})
    expected = EXPECTED[kind]
    if expected.alone is None:
        assert harness.call(target(), streaming=streaming, deadline=30.0).failed
        assert len(harness.targets.names) > 5
        assert harness.targets.clock > 1020.0
        return
    result = harness.call(target(), streaming=streaming, deadline=1e6)
    # Where the breaker opens before the retries are used up, no more of them are made.
    opened = -(-5 // expected.counts) if expected.counts else 9
    # Alone, a whole answer has until the deadline: no time is left to ask again.
    allowed = 1 if kind == "timeout" and not streaming else expected.alone
    assert len(result.outcomes) == min(allowed, opened)
    assert {outcome for _, outcome in result.outcomes} == {"skipped" if kind == "unsendable" else kind}
    assert result.failed
    assert [failure.kind for _, failure in result.failed.failures] == [kind]


@BOTH
@each("kind", KINDS)
def test_a_target_beside_another_fails_over_as_its_failure_says(
    kind: FailureKind, make_harness: MakeHarness, *, streaming: bool
) -> None:
    harness = make_harness({"alpha/one": [attempt(kind)], "beta/two": [say("Hello")]})
    result = harness.call(target(), target("beta/two"), streaming=streaming)
    expected = EXPECTED[kind]
    assert harness.targets.names == ["alpha/one"] * expected.beside + ["beta/two"] * expected.then
    assert result.text == ("Hello" if expected.then else "")
    if not expected.then:
        assert result.failed
        assert [failure.kind for _, failure in result.failed.failures] == [kind]


@BOTH
@each("kind", KINDS)
def test_a_failure_moves_the_breaker_only_where_it_shows_ill_health(
    kind: FailureKind, make_harness: MakeHarness, *, streaming: bool
) -> None:
    expected = EXPECTED[kind]
    harness = make_harness({"alpha/one": [attempt(kind)], "beta/two": [say("Hello")]})
    harness.call(target(), target("beta/two"), streaming=streaming)
    # A default limit that passes for a whole answer is weak evidence: the answer may only be long.
    counts = 1 if kind == "timeout" and not streaming else expected.counts
    assert harness.known("alpha/one")["consecutive_failures"] == counts * expected.beside


@each("kind", KINDS)
def test_a_retry_costs_a_token_unless_nothing_reached_the_provider(
    kind: FailureKind, make_harness: MakeHarness
) -> None:
    expected = EXPECTED[kind]
    harness = make_harness({"alpha/one": [attempt(kind)], "beta/two": [say("Hello")]})
    harness.call(target(), target("beta/two"))
    spent = (expected.beside - 1 - expected.resent) * expected.spends
    assert harness.known("alpha/one")["retry_budget"] == 10.0 - spent


@each("kind", KINDS)
def test_an_attempt_that_the_provider_may_have_worked_on_is_marked_as_maybe_billed(
    kind: FailureKind, make_harness: MakeHarness
) -> None:
    harness = make_harness({"alpha/one": [attempt(kind)], "beta/two": [say("Hello")]})
    result = harness.call(target(), target("beta/two"))
    assert result.trace.attempts[0].maybe_billed == (kind in MAYBE_BILLED)


def test_nothing_that_was_refused_outright_counts_as_maybe_billed() -> None:
    refused = {kind for kind, rule in FAILURE_RULES.items() if rule.free or rule.cooldown or not rule.failover}
    assert not refused & MAYBE_BILLED
