"""Process-wide defaults: ``configure()`` and the variables ``UNIFIED_LLM_*``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient, configure
from unified_llm._core.defaults import default
from unified_llm.exceptions import ConfigurationError


def test_nothing_is_set_at_first() -> None:
    assert [default(name) for name in ("timeout", "max_retries", "retry_delay", "cache_ttl")] == [None] * 4


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("timeout", "1.5", 1.5), ("max_retries", "0", 0), ("retry_delay", "0", 0.0), ("cache_ttl", "60", 60.0)],
)
def test_the_environment_sets_a_default(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: float) -> None:
    monkeypatch.setenv(f"UNIFIED_LLM_{name.upper()}", text)
    assert default(name) == value
    monkeypatch.setenv(f"UNIFIED_LLM_{name.upper()}", "")
    assert default(name) is None


def test_configure_goes_before_the_environment_until_it_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFIED_LLM_TIMEOUT", "20")
    configure(timeout=7)
    assert default("timeout") == 7
    configure(timeout=None)
    assert default("timeout") == 20
    configure(timeout=None)


@each(
    ("name", "value", "expected"),
    [
        ("timeout", 0, "greater than 0 seconds"),
        ("timeout", -1, "greater than 0 seconds"),
        ("timeout", float("nan"), "must be a finite number of seconds"),
        ("timeout", float("inf"), "must be a finite number of seconds"),
        ("timeout", True, "must be a number"),
        ("timeout", "sk-MISPLACED", "must be a number"),
        ("max_retries", -1, "0 or greater"),
        ("max_retries", 1.5, "whole number"),
        ("retry_delay", [1], "must be a number"),
    ],
)
def test_a_default_that_makes_no_sense_is_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected) as refused:
        configure(**{name: value})
    assert f"configure({name}=...)" in str(refused.value)
    assert "MISPLACED" not in str(refused.value)
    assert default(name) is None


@pytest.mark.parametrize(("name", "hint"), [("time_out", "did you mean timeout?"), ("mode", "known are timeout, ")])
def test_an_unknown_default_is_refused_with_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(**{name: 1})  # type: ignore[arg-type]
    assert hint in str(refused.value)


def test_one_wrong_default_leaves_the_others_unset() -> None:
    with pytest.raises(ConfigurationError):
        configure(timeout=5, max_retries=-1)
    assert default("timeout") is None


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("TIMEOUT", "sk-MISPLACED", "must hold a number"),
        ("TIMEOUT", "nan", "must be a finite number of seconds"),
        ("TIMEOUT", "0", "greater than 0 seconds"),
        ("TIMEOUT", " ", "must hold a number"),
        ("MAX_RETRIES", "1.5", "must hold a whole number"),
        ("MAX_RETRIES", "-1", "0 or greater"),
        ("CACHE_TTL", "1e999", "must be a finite number of seconds"),
    ],
)
def test_a_variable_that_holds_nonsense_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: str
) -> None:
    monkeypatch.setenv(f"UNIFIED_LLM_{name}", text)
    with pytest.raises(ConfigurationError, match=expected) as refused:
        default(name.lower())
    assert f"UNIFIED_LLM_{name}" in str(refused.value)
    assert "MISPLACED" not in str(refused.value)


def test_defaults_reach_targets_made_afterwards_and_explicit_fields_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFIED_LLM_MAX_RETRIES", "5")
    before = LLMClient("mlx/demo").targets[0]
    configure(timeout=7, retry_delay=0.5)
    after = LLMClient("mlx/demo").targets[0]
    explicit = LLMClient("mlx/demo", timeout=3, max_retries=0, retry_delay=2.0).targets[0]
    assert (before.timing.fixed, before.retry.limit, before.retry.delay) == (False, 5, 1.0)
    assert (after.timing.first_token, after.timing.whole, after.timing.fixed) == (7, 7, True)
    assert (after.retry.limit, after.retry.delay) == (5, 0.5)
    assert (explicit.timing.whole, explicit.retry.limit, explicit.retry.delay) == (3.0, 0, 2.0)
