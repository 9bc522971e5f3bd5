"""From a configuration to a chain of targets: order, inheritance, missing keys, a model named by the call."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient, LLMConfig
from unified_llm._config import resolve
from unified_llm._config.call_targets import CallTargets, chain_of_call
from unified_llm._core.exchange import AsyncExchange, Exchange
from unified_llm._core.features import Feature
from unified_llm._core.target import Target
from unified_llm._providers.registry import ROWS
from unified_llm.exceptions import ConfigurationError
from unified_llm.types import LLMRequest

KEY = "sk-CANARY-0123456789"


def names(*args: Any, **fields: Any) -> list[str]:
    return [target.name for target in LLMClient(*args, **fields).targets]


def test_targets_stand_in_the_users_order() -> None:
    config = LLMConfig(model="ollama/a", fallbacks=["ollama/b", {"model": "ollama/c"}, LLMConfig(model="ollama/d")])
    assert names(config, fallbacks=["mlx/demo"]) == ["ollama/a", "ollama/b", "ollama/c", "ollama/d", "mlx/demo"]


def test_fallbacks_of_a_fallback_come_after_it() -> None:
    config = LLMConfig(model="ollama/a", fallbacks=[LLMConfig(model="ollama/b", fallbacks=["ollama/c"]), "ollama/d"])
    assert names(config) == ["ollama/a", "ollama/b", "ollama/c", "ollama/d"]


def test_a_fallback_without_a_name_is_the_same_deployment_elsewhere() -> None:
    client = LLMClient(
        "openai/gpt-5-mini",
        api_key=KEY,
        default_headers={"x-team": "a"},
        extra_body={"user": "u"},
        temperature=0.5,
        fallbacks=[{"base_url": "https://west.example"}],
    )
    first, second = client.targets
    assert second.base_url == "https://west.example/v1"
    assert [first.name, second.name] == ["openai/gpt-5-mini@api.openai.com", "openai/gpt-5-mini@west.example"]
    assert (second.model, second.key, second.headers, second.extra_body) == (
        first.model, first.key, first.headers, first.extra_body,
    )  # fmt: skip
    assert second.defaults == first.defaults == {"temperature": 0.5}


@pytest.mark.case(65)
@each("unset", [{"model": None}, {"provider": None}, {"model": None, "provider": None}])
def test_a_fallback_whose_name_is_none_has_no_name(unset: dict[str, Any]) -> None:
    client = LLMClient("openai/gpt-5-mini", api_key=KEY, fallbacks=[{"base_url": "https://west.example", **unset}])
    assert [target.model for target in client.targets] == ["gpt-5-mini", "gpt-5-mini"]


def test_a_key_of_the_environment_does_not_go_elsewhere_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    east = {"model": "azure/gpt", "base_url": "https://east.openai.azure.com"}
    assert len(LLMClient(east, fallbacks=[{"base_url": "https://west.openai.azure.com"}]).targets) == 2
    with pytest.raises(ConfigurationError, match=r"only sent to \*\.openai\.azure\.com"):
        LLMClient(east, fallbacks=[{"base_url": "https://evil.example"}])


@pytest.mark.parametrize(
    "fallback", ["ollama/b", {"model": "ollama/b"}, {"provider": "ollama", "model": "b"}, LLMConfig(model="ollama/b")]
)
@pytest.mark.usefixtures("no_keys")
def test_a_fallback_with_a_name_inherits_what_belongs_to_the_call_alone(fallback: Any) -> None:
    client = LLMClient(
        "openai/gpt-4o",
        api_key=KEY,
        base_url="https://gateway.example",
        default_headers={"x-team": "CANARY"},
        extra_body={"user": "CANARY"},
        allow_http=True,
        verify_ssl=False,
        temperature=0.5,
        max_retries=3,
        timeout=9,
        fallbacks=[fallback],
    )
    second = client.targets[1]
    assert (second.key, second.headers, second.extra_body, second.verify) == (None, {}, {}, True)
    assert second.base_url == "http://127.0.0.1:11434/v1"
    assert (second.defaults, second.retry.limit, second.timing.whole) == ({"temperature": 0.5}, 3, 9)


def test_what_a_fallback_says_itself_goes_before_what_it_inherits() -> None:
    client = LLMClient("ollama/a", temperature=0.5, fallbacks=[{"model": "ollama/b", "temperature": 0}])
    assert client.targets[1].defaults == {"temperature": 0.0}


class WrappedModel:
    """A model object of a framework, as its adapter wraps it."""

    provider = "langchain"
    model = "FakeChat"
    features: frozenset[Feature] = frozenset({"streaming", "tools"})
    context_window: int | None = 4096
    number = 1

    def exchange(self, request: LLMRequest) -> Exchange:
        raise NotImplementedError

    def aexchange(self, request: LLMRequest) -> AsyncExchange:
        raise NotImplementedError


def test_a_wrapped_model_object_is_a_target_with_its_own_abilities() -> None:
    model = WrappedModel()
    target = LLMClient("mlx/demo", fallbacks=[model]).targets[1]
    assert (target.name, target.format, target.instance) == ("langchain/FakeChat", "wrapped", model)
    assert (target.features, target.context_window) == (model.features, 4096)


@pytest.mark.usefixtures("no_keys")
def test_a_call_cannot_put_a_model_in_place_of_a_model_object() -> None:
    client = LLMClient("openai/gpt-4o", fallbacks=[WrappedModel()], skip_unconfigured=True)
    with pytest.raises(ConfigurationError, match="wrapped model object"):
        client.generate("Hello", model="openai/gpt-5-mini")


# Missing keys and packages


@pytest.mark.usefixtures("no_keys")
def test_a_target_without_its_key_can_be_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "unified_llm"):
        client = LLMClient("openai/gpt-5-mini", fallbacks=["ollama/llama3.2"], skip_unconfigured=True)
    assert [target.name for target in client.targets] == ["ollama/llama3.2"]
    (record,) = caplog.records
    assert "openai/gpt-5-mini: no API key (set OPENAI_API_KEY or pass api_key=)" in record.getMessage()


def test_a_wrong_target_is_not_left_out() -> None:
    with pytest.raises(ConfigurationError, match="no known provider"):
        LLMClient("mlx/demo", fallbacks=["nobody/x"], skip_unconfigured=True)
    with pytest.raises(ConfigurationError, match="white space"):
        LLMClient("mlx/demo", fallbacks=[{"model": "openai/x", "api_key": "k\n"}], skip_unconfigured=True)


@pytest.mark.usefixtures("no_keys")
def test_a_chain_without_any_target_left_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"No target is left: openai/gpt-5-mini: no API key"):
        LLMClient("openai/gpt-5-mini", skip_unconfigured=True)


def test_a_platform_without_mlx_goes_on_without_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with caplog.at_level(logging.WARNING, "unified_llm"):
        assert names("ollama/llama2", fallbacks=["mlx/demo"]) == ["ollama/llama2"]
    (record,) = caplog.records
    assert "riscv64: use another provider here" in record.getMessage()
    with pytest.raises(ConfigurationError, match=r"No target is left: mlx/demo: MLX needs macOS"):
        LLMClient("mlx/demo")


def test_a_missing_extra_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_llm._backends.mlx.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"MLX is not installed: run pip install 'unified-llm\[mlx\]'\."):
        LLMClient("mlx/demo")
    assert names("ollama/llama2", fallbacks=["mlx/demo"], skip_unconfigured=True) == ["ollama/llama2"]


# A model named by the call


def target_for(first: LLMConfig, model: str) -> Target:
    chain, _ = resolve.chain(first, (), skip_unconfigured=False)
    return chain_of_call(chain, first, CallTargets(model), skip_unconfigured=False).targets[0]


def test_a_model_of_the_same_provider_takes_everything_over() -> None:
    first = LLMConfig(model="openai/gpt-5-mini", api_key=KEY, base_url="https://gateway.example", extra_body={"u": 1})
    for model in ("gpt-4o", "openai/gpt-4o", "openai:gpt-4o"):
        target = target_for(first, model)
        assert (target.name, target.base_url, target.extra_body) == (
            "openai/gpt-4o",
            "https://gateway.example/v1",
            {"u": 1},
        )
        assert target.key == first.api_key


@pytest.mark.usefixtures("no_keys")
def test_a_model_of_another_provider_takes_neither_key_nor_address_along() -> None:
    first = LLMConfig(
        model="openai/gpt-4o", api_key=KEY, base_url="https://gateway.example", extra_body={"u": 1}, temperature=0.5
    )
    target = target_for(first, "ollama/llama2")
    assert (target.key, target.base_url, target.extra_body) == (None, "http://127.0.0.1:11434/v1", {})
    assert target.defaults == {"temperature": 0.5}
    with pytest.raises(
        ConfigurationError, match="anthropic/claude-haiku-4-5, which the call names, is not configured: no API key"
    ):
        target_for(first, "anthropic/claude-haiku-4-5")


@each("provider", [row.name for row in ROWS if row.literal_models])
def test_a_gateway_takes_a_model_literally(provider: str) -> None:
    first = LLMConfig(model=f"{provider}/m", api_key=KEY, base_url="https://gateway.example")
    assert target_for(first, "openai/gpt-4o").name == f"{provider}/openai/gpt-4o"
    assert target_for(first, "ollama:llama2").name == "ollama/llama2"


def test_with_a_provider_a_call_takes_a_model_literally_too() -> None:
    first = LLMConfig(provider="openai", model="m", api_key=KEY)
    assert target_for(first, "anthropic/x").name == "openai/anthropic/x"
    assert target_for(first, "ollama:llama2").name == "ollama/llama2"
