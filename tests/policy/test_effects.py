"""The policy, effect by effect."""

from __future__ import annotations

import pytest

from tests.support.policy_harness import DEAD, A, B, PolicyHarness
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.seconds import FOREVER
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._policy.call_state import Hedging
from unified_llm._policy.effects import Abandon, Open, Wait
from unified_llm._policy.failover import PolicyGenerator, run_policy

BEGAN = 1000.0
ANSWER = Done("answer")


def hedged() -> PolicyGenerator:
    """Return the policy of a call that is hedged after two seconds."""
    call = PolicyHarness({}).prepare(A, B)
    call.hedging = Hedging(2.0, HedgeBudget())
    return run_policy(call)


def ends(generator: PolicyGenerator) -> bool:
    """Return whether the call was answered and has no further effect."""
    with pytest.raises(StopIteration) as end:
        generator.send(None)
    return bool(end.value.value == ANSWER)


def test_an_attempt_that_failed_is_closed_before_the_next_is_begun() -> None:
    generator = run_policy(PolicyHarness({}).prepare(A, B))
    assert generator.send(None) == Open(1, A, BEGAN + 60.0)
    assert generator.send(Failure("model_not_found", 404)) == Abandon(1)
    assert generator.send(None) == Open(2, B, BEGAN + 600.0)
    assert generator.send(None) == Wait((2,), BEGAN + 600.0)
    assert generator.send((2, ANSWER)) == Abandon(2)
    assert ends(generator)


def test_whichever_of_two_fails_is_closed_while_the_other_goes_on() -> None:
    generator = hedged()
    assert generator.send(None) == Open(1, A, BEGAN + 60.0, concurrent=True)
    assert generator.send(None) == Wait((1,), BEGAN + 2.0)
    assert generator.send(None) == Open(2, B, BEGAN + 60.0, concurrent=True)
    assert generator.send(None) == Wait((1, 2), FOREVER)
    assert generator.send((1, DEAD)) == Abandon(1)
    assert generator.send(None) == Wait((2,), FOREVER)
    assert generator.send((2, ANSWER)) == Abandon(2)
    assert ends(generator)


def test_the_loser_of_a_hedge_is_closed_before_the_answer_is_handed_out() -> None:
    generator = hedged()
    for _ in range(3):
        generator.send(None)
    assert generator.send(None) == Wait((1, 2), FOREVER)
    assert generator.send((2, ANSWER)) == Abandon(1)
    assert generator.send(None) == Abandon(2)
    assert ends(generator)


def test_what_fails_as_soon_as_it_is_begun_is_not_waited_for() -> None:
    generator = hedged()
    generator.send(None)
    assert generator.send(Failure("model_not_found", 404)) == Abandon(1)
    assert generator.send(None) == Open(2, B, BEGAN + 600.0)
