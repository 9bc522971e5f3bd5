"""``Target`` and ``BreakerConfig``: keys of health, credentials and rate limits; validation."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.each import each
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


VENDOR: dict[str, Any] = {"base_url": "https://api.openai.com/v1", "vendor_host": True}


def test_credentials_belong_to_the_key_at_the_hosts_of_its_vendor_whatever_the_model_and_host() -> None:
    here, elsewhere = target("a", key=ONE, **VENDOR), target("b", key=ONE, base_url="https://eu", vendor_host=True)
    assert here.credentials_key == elsewhere.credentials_key
    assert here.account == elsewhere.account
    assert here.credentials_key != target("a", key=OTHER, **VENDOR).credentials_key
    assert here.credentials_key != target("a", "azure", key=ONE, **VENDOR).credentials_key


def test_a_key_is_another_account_at_each_server_that_is_no_host_of_a_vendor() -> None:
    one, other = target("a", key=ONE, base_url="http://a:1"), target("a", key=ONE, base_url="http://a:2")
    assert one.credentials_key == target("b", key=ONE, base_url="http://a:1/other").credentials_key
    assert one.credentials_key != other.credentials_key
    assert one.account != other.account
    assert one.limit_key != other.limit_key


def test_what_an_anonymous_target_may_not_use_concerns_that_model_at_that_address_alone() -> None:
    keys = {
        target("a", base_url="https://a").credentials_key,
        target("b", base_url="https://a").credentials_key,
        target("a", base_url="https://b").credentials_key,
        target("a", base_url="https://a", key=ONE).credentials_key,
        target("a", base_url="https://a", vendor_host=True).credentials_key,
        target("a").credentials_key,
        target("a", instance=SimpleNamespace(number=1)).credentials_key,
        target("a", instance=SimpleNamespace(number=2)).credentials_key,
    }
    assert len(keys) == 7, "vendor_host makes no difference without a key"


def test_a_rate_limit_belongs_to_the_account_the_model_and_the_origin() -> None:
    here = target("a", key=ONE, **VENDOR)
    assert here.limit_key == target("a", key=ONE, base_url="https://API.openai.com:443/other").limit_key
    assert here.limit_key != target("b", key=ONE, **VENDOR).limit_key
    assert here.limit_key != target("a", key=OTHER, **VENDOR).limit_key
    assert here.limit_key != target("a", key=ONE, base_url="https://eu.api.openai.com", vendor_host=True).limit_key
    one, other = (target("a", instance=SimpleNamespace(number=number)) for number in (1, 2))
    assert one.limit_key != other.limit_key


@each(
    ("one", "other"),
    [
        ("https://a.example", "https://A.Example/"),
        ("https://a.example/v1", "https://a.example:443/v1/"),
        ("http://a.example/v1", "http://a.example:80/v1"),
        ("https://a.example/v1", "https://a.example./v1"),
        ("HTTPS://a.example/v1", "https://a.example/v1"),
        ("http://[::1]:8000", "http://[0:0:0:0:0:0:0:1]:8000"),
        ("http://[::ffff:127.0.0.1]:8000", "http://127.0.0.1:8000"),
    ],
)
def test_an_address_that_is_written_in_another_way_is_the_same(one: str, other: str) -> None:
    first, second = target(base_url=one, key=ONE), target(base_url=other, key=ONE)
    assert first.origin == second.origin
    assert first.health_key == second.health_key
    assert first.credentials_key == second.credentials_key


@each(
    ("one", "other"),
    [
        ("https://a.example", "http://a.example"),
        ("https://a.example", "https://a.example:8443"),
        ("https://a.example", "https://b.example"),
        ("http://localhost:8000", "http://127.0.0.1:8000"),
    ],
)
def test_addresses_with_another_scheme_host_or_port_are_not_the_same(one: str, other: str) -> None:
    assert target(base_url=one).origin != target(base_url=other).origin


@each(
    "header",
    [
        "X-Api-Key", "api-key", "Ocp-Apim-Subscription-Key", "Authorization", "X-Authorization", "Proxy-Auth", "Cookie",
        "X-Goog-Api-Key", "Helicone-Auth", "X-Amz-Security-Token", "OpenAI-Organization", "OpenAI-Project",
        "X-Goog-User-Project", "X-Tenant-ID", "X_User_Id", "X-Workspace", "x-jwt", "X-Session", "apikey",
    ],
)  # fmt: skip
def test_a_header_that_is_a_key_or_says_who_pays_belongs_to_the_account(header: str) -> None:
    one, other = (target(key=ONE, base_url="https://a", headers={header: text}) for text in ("CANARY-1", "CANARY-2"))
    assert len({one.account, other.account, target(key=ONE, base_url="https://a").account}) == 3
    assert one.credentials_key != other.credentials_key
    assert one.limit_key != other.limit_key
    assert one.health_key == other.health_key
    same = target(key=ONE, base_url="https://a", headers={header.upper(): "CANARY-1", "Traceparent": "00-1"})
    assert same.account == one.account
    assert "CANARY" not in repr((one.account, one.credentials_key, one.limit_key))


@each("header", ["User-Agent", "traceparent", "X-Request-Id", "Idempotency-Key", "anthropic-version"])
def test_a_header_of_one_request_or_of_the_software_belongs_to_no_account(header: str) -> None:
    one, other = (target(key=ONE, headers={header: text}) for text in "12")
    assert one.account == other.account == target(key=ONE).account


@each(
    "body",
    [
        {"api_key": "x"},
        {"user": "x"},
        {"litellm_params": {"api_key": "x"}},
        {"metadata": {"tenant_id": "x"}},
    ],
)
def test_a_field_of_the_body_that_is_a_key_or_says_who_pays_belongs_to_the_account(body: dict[str, Any]) -> None:
    plain = target(key=ONE)
    assert target(key=ONE, extra_body=body).account != plain.account
    other = {"max_tokens": 5, "prompt_cache_key": "x", "top_k": 3, "metadata": {"stage": "x"}}
    assert target(key=ONE, extra_body=other).account == plain.account


def test_an_account_is_the_same_in_every_process() -> None:
    assert target(key=ONE, base_url="https://a", headers={"x-tenant": "7"}).account == (
        "21890171a6a12fc6ec05025ca447165e",
        "https://a",
    )


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


@each("name", ["failures", "window", "cooldown", "cooldown_max"])
@each("value", [0, -1, float("nan"), float("inf"), True, None, "5"])
def test_a_breaker_needs_positive_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"BreakerConfig\.{name} must be "):
        BreakerConfig(**{name: value})


def test_the_longest_cooldown_is_no_shorter_than_the_first() -> None:
    with pytest.raises(ConfigurationError, match="cooldown_max must not be smaller"):
        BreakerConfig(cooldown=31, cooldown_max=30)
    assert BreakerConfig(cooldown=30, cooldown_max=30).cooldown_max == 30
