"""Every kind of failure: who is asked next, and what is remembered of the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import pytest

from tests.policy.conftest import Rooms
from tests.support.policy_harness import target
from tests.support.scripted_targets import Attempt, Pause, say
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._policy.failure_rules import FAILURE_RULES, MAYBE_BILLED


@dataclass(frozen=True)
class Follows:
    """What follows from a failure of the first target.

    alone: how often it is asked when there is no other; beside: when there is; then: whether the other is asked;
    counts: what one failure adds at the breaker; spends: whether a retry costs a token of the budget.
    """

    alone: int
    beside: int
    then: bool
    counts: int
    spends: bool = True


EXPECTED: dict[FailureKind, Follows] = {
    "connect": Follows(alone=3, beside=2, then=True, counts=1, spends=False),
    "tls": Follows(alone=1, beside=1, then=True, counts=1),
    "pool": Follows(alone=3, beside=2, then=True, counts=0, spends=False),
    "unsendable": Follows(alone=1, beside=1, then=False, counts=0),
    "connection": Follows(alone=3, beside=2, then=True, counts=1),
    "timeout": Follows(alone=2, beside=1, then=True, counts=2),
    "auth": Follows(alone=1, beside=1, then=True, counts=0),
    "permission": Follows(alone=1, beside=1, then=True, counts=0),
    "quota": Follows(alone=1, beside=1, then=True, counts=0),
    "rate_limit": Follows(alone=3, beside=1, then=True, counts=0),
    "model_not_found": Follows(alone=1, beside=1, then=True, counts=0),
    "not_found": Follows(alone=1, beside=1, then=True, counts=0),
    "redirect": Follows(alone=1, beside=1, then=True, counts=0),
    "bad_request": Follows(alone=1, beside=1, then=False, counts=0),
    "unsupported": Follows(alone=1, beside=1, then=True, counts=0),
    "context": Follows(alone=1, beside=1, then=False, counts=0),
    "too_large": Follows(alone=1, beside=1, then=False, counts=0),
    "filter": Follows(alone=1, beside=1, then=False, counts=0),
    "conflict": Follows(alone=3, beside=2, then=True, counts=0),
    "request_timeout": Follows(alone=3, beside=2, then=True, counts=1),
    "server": Follows(alone=3, beside=2, then=True, counts=1),
    "malformed": Follows(alone=3, beside=2, then=True, counts=1),
    "empty": Follows(alone=3, beside=2, then=True, counts=1),
    "truncated": Follows(alone=3, beside=2, then=True, counts=1),
    "invalid": Follows(alone=3, beside=2, then=True, counts=0),
    "oversized": Follows(alone=1, beside=1, then=True, counts=1),
}
KINDS = sorted(EXPECTED)
BOTH = pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])


def attempt(kind: FailureKind) -> Attempt:
    """An attempt that fails so: a timeout where a read would have to wait for ever, all else when it is opened."""
    return [Pause()] if kind == "timeout" else Failure(kind, 400)


def test_every_kind_of_failure_has_a_verdict_and_a_row_here() -> None:
    assert set(EXPECTED) == set(FAILURE_RULES) == set(get_args(FailureKind))


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_target_that_is_alone_is_asked_as_often_as_its_failure_allows(
    kind: FailureKind, room: Rooms, *, streaming: bool
) -> None:
    play = room({"alpha/one": [attempt(kind)]})
    result = play.call(target(), streaming=streaming, deadline=1e6)
    expected = EXPECTED[kind]
    # Where the breaker opens before the retries are used up, it has the last word.
    opened = -(-5 // expected.counts) if expected.counts else 9
    # Alone, a whole answer has until the deadline: no time is left to ask again.
    allowed = 1 if kind == "timeout" and not streaming else expected.alone
    assert len(result.outcomes) == min(allowed, opened)
    assert {outcome for _, outcome in result.outcomes} == {kind}
    assert result.defeat
    assert [failure.kind for _, failure in result.defeat.failures] == [kind]


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_target_beside_another_fails_over_as_its_failure_says(
    kind: FailureKind, room: Rooms, *, streaming: bool
) -> None:
    play = room({"alpha/one": [attempt(kind)], "beta/two": [say("Hello")]})
    result = play.call(target(), target("beta/two"), streaming=streaming)
    expected = EXPECTED[kind]
    assert play.world.names == ["alpha/one"] * expected.beside + ["beta/two"] * expected.then
    assert result.text == ("Hello" if expected.then else "")
    if not expected.then:
        assert result.defeat
        assert [failure.kind for _, failure in result.defeat.failures] == [kind]


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_moves_the_breaker_only_where_it_tells_of_ill_health(
    kind: FailureKind, room: Rooms, *, streaming: bool
) -> None:
    expected = EXPECTED[kind]
    play = room({"alpha/one": [attempt(kind)], "beta/two": [say("Hello")]})
    play.call(target(), target("beta/two"), streaming=streaming)
    assert play.known("alpha/one")["failures"] == expected.counts * expected.beside


@pytest.mark.parametrize("kind", KINDS)
def test_a_retry_costs_a_token_unless_nothing_reached_the_provider(kind: FailureKind, room: Rooms) -> None:
    expected = EXPECTED[kind]
    play = room({"alpha/one": [attempt(kind)], "beta/two": [say("Hello")]})
    play.call(target(), target("beta/two"))
    spent = (expected.beside - 1) * expected.spends
    assert play.known("alpha/one")["retry_budget"] == 10.0 - spent


@pytest.mark.parametrize("kind", KINDS)
def test_an_attempt_that_the_provider_may_have_worked_on_is_marked_as_maybe_billed(
    kind: FailureKind, room: Rooms
) -> None:
    play = room({"alpha/one": [attempt(kind)], "beta/two": [say("Hello")]})
    result = play.call(target(), target("beta/two"))
    assert result.trace.attempts[0].maybe_billed == (kind in MAYBE_BILLED)


def test_nothing_that_was_refused_outright_counts_as_maybe_billed() -> None:
    refused = {kind for kind, verdict in FAILURE_RULES.items() if verdict.free or verdict.hold or not verdict.failover}
    assert not refused & MAYBE_BILLED
