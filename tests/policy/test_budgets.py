"""Budgets, counted exactly."""

from __future__ import annotations

from unified_llm._policy.budgets import HedgeBudget, RetryBudget


def test_a_fresh_budget_has_leave_for_one_hedge_and_every_twentieth_call_earns_another() -> None:
    budget = HedgeBudget()
    assert [budget.spend(), budget.spend()] == [True, False]
    earned = []
    for _ in range(60):
        budget.earn()
        earned.append(budget.spend())
    assert [number for number, leave in enumerate(earned, 1) if leave] == [20, 40, 60]


def test_ten_retries_may_be_made_and_then_one_for_some_ten_answers() -> None:
    budget = RetryBudget()
    for _ in range(10):
        assert budget.has_token
        budget.spend()
    assert not budget.has_token
    for _ in range(9):
        budget.earn()
    assert not budget.has_token
    budget.earn()
    budget.earn()
    assert budget.has_token
