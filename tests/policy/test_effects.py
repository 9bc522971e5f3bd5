"""What the policy asks of its driver, effect by effect."""

from __future__ import annotations

import pytest

from tests.support.policy_harness import DEAD, A, B, Room
from unified_llm._core.outcome import Done, Failure
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._policy.call_state import Hedging
from unified_llm._policy.effects import FOREVER, Abandon, Emit, Open, Wait
from unified_llm._policy.failover import Flow, run_policy

BEGAN = 1000.0
ANSWER = Done("answer")


def hedged() -> Flow:
    """A call that asks another target after two seconds."""
    call = Room({}).prepare(A, B)
    call.hedging = Hedging(2.0, HedgeBudget())
    return run_policy(call)


def ends(flow: Flow) -> bool:
    """Whether the call was answered, and nothing more is asked for."""
    with pytest.raises(StopIteration) as end:
        flow.send(None)
    return end.value.value is None


def test_an_attempt_that_failed_is_closed_before_the_next_is_begun() -> None:
    flow = run_policy(Room({}).prepare(A, B))
    assert flow.send(None) == Open(1, A, BEGAN + 60.0)
    assert flow.send(Failure("model_not_found", 404)) == Abandon(1)
    assert flow.send(None) == Open(2, B, BEGAN + 600.0)
    assert flow.send(None) == Wait((2,), BEGAN + 600.0)
    assert flow.send((2, ANSWER)) == Abandon(2)
    assert flow.send(None) == Emit(ANSWER)
    assert ends(flow)


def test_whichever_of_two_fails_is_closed_while_the_other_goes_on() -> None:
    flow = hedged()
    assert flow.send(None) == Open(1, A, BEGAN + 60.0, concurrent=True)
    assert flow.send(None) == Wait((1,), BEGAN + 2.0)
    assert flow.send(None) == Open(2, B, BEGAN + 60.0, concurrent=True)
    assert flow.send(None) == Wait((1, 2), FOREVER)
    assert flow.send((1, DEAD)) == Abandon(1)
    assert flow.send(None) == Wait((2,), FOREVER)
    assert flow.send((2, ANSWER)) == Abandon(2)
    assert flow.send(None) == Emit(ANSWER)
    assert ends(flow)


def test_the_loser_of_a_race_is_closed_before_the_answer_is_handed_out() -> None:
    flow = hedged()
    for _ in range(3):
        flow.send(None)
    assert flow.send(None) == Wait((1, 2), FOREVER)
    assert flow.send((2, ANSWER)) == Abandon(1)
    assert flow.send(None) == Abandon(2)
    assert flow.send(None) == Emit(ANSWER)
    assert ends(flow)


def test_what_fails_as_soon_as_it_is_begun_is_not_waited_for() -> None:
    flow = hedged()
    flow.send(None)
    assert flow.send(Failure("model_not_found", 404)) == Abandon(1)
    assert flow.send(None) == Open(2, B, BEGAN + 600.0)
