"""``Target`` and ``BreakerConfig``: keys of health, credentials and rate limits; validation."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from unified_llm._core.api_key import Secret
from unified_llm._core.target import BreakerConfig, Target
from unified_llm.exceptions import ConfigurationError

ONE, OTHER = Secret("sk-CANARY-one", "api_key="), Secret("sk-CANARY-two", "api_key=")


def target(model: str = "m", provider: str = "openai", **fields: Any) -> Target:
    return Target(provider, model, "openai_chat", **fields)


def test_a_target_is_named_by_provider_and_model() -> None:
    assert target("gpt-5-mini").name == "openai/gpt-5-mini"
    assert target("").name == "openai"


def test_health_belongs_to_one_model_at_one_address() -> None:
    here = target(base_url="https://a", key=ONE)
    assert here.health_key == target(base_url="https://a", key=OTHER).health_key
    assert here.health_key != target(base_url="https://b", key=ONE).health_key
    assert here.health_key != target("other", base_url="https://a", key=ONE).health_key


def test_the_health_of_a_model_object_is_its_own() -> None:
    a, b = SimpleNamespace(number=1), SimpleNamespace(number=2)
    assert target(instance=a).health_key == target(instance=a).health_key != target(instance=b).health_key


def test_credentials_belong_to_the_key_whatever_the_model_and_address() -> None:
    assert target("a", base_url="https://a", key=ONE).credentials_key == target("b", key=ONE).credentials_key
    assert target("a", key=ONE).credentials_key != target("a", key=OTHER).credentials_key
    assert target("a", key=ONE).credentials_key != target("a", "azure", key=ONE).credentials_key
    assert target("a").credentials_key != target("b").credentials_key


def test_a_rate_limit_belongs_to_the_key_and_the_model() -> None:
    assert target("a", base_url="https://a", key=ONE).limit_key == target("a", base_url="https://b", key=ONE).limit_key
    assert target("a", key=ONE).limit_key != target("b", key=ONE).limit_key


def test_nothing_secret_is_in_the_repr_or_the_keys_of_a_target() -> None:
    shown = target(
        key=ONE,
        headers={"x": "sk-CANARY"},
        extra_body={"x": "sk-CANARY"},
        verify="sk-CANARY",
        instance=SimpleNamespace(number=1, key="sk-CANARY"),
    )
    assert "CANARY" not in repr(shown)
    assert "CANARY" not in repr(dataclasses.asdict(target(key=ONE)))
    assert "CANARY" not in repr((shown.health_key, shown.credentials_key, shown.limit_key))


@pytest.mark.parametrize("name", ["failures", "window", "cooldown", "cooldown_max"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, None, "5"])
def test_a_breaker_needs_positive_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"BreakerConfig\.{name} must be a number greater than 0"):
        BreakerConfig(**{name: value})


def test_the_longest_cooldown_is_no_shorter_than_the_first() -> None:
    with pytest.raises(ConfigurationError, match="cooldown_max must not be smaller"):
        BreakerConfig(cooldown=31, cooldown_max=30)
    assert BreakerConfig(cooldown=30, cooldown_max=30).cooldown_max == 30
