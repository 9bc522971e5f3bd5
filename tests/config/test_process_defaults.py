"""Process-wide defaults: ``configure()`` and the variables ``UNIFIED_LLM_*``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient, LLMConfig, MLXConfig, configure
from unified_llm._config import process_settings
from unified_llm._config.merged_fields import merge
from unified_llm._config.setting_layers import environment_layer
from unified_llm._core.defaults import default
from unified_llm._core.target import BreakerConfig, Target
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

SERVER = "http://127.0.0.1:9/v1"


def setting(name: str, model: str = "ollama/m", **fields: Any) -> Any:
    """Return a field of a target, as the process sets it unless it is given."""
    config = LLMConfig(model=model, **fields)
    return getattr(merge(config, registry.row(model.partition("/")[0]), process_settings.layers()), name)


def target(model: str | None = "ollama/m", **fields: Any) -> Target:
    return LLMClient(model, **fields).targets[0]


def test_nothing_is_set_at_first() -> None:
    config = LLMConfig(model="ollama/m")
    assert merge(config, registry.row("ollama"), process_settings.layers()) is config


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("timeout", "1.5", 1.5),
        ("max_retries", "0", 0),
        ("retry_delay", "0", 0.0),
        ("cache_ttl", "60", 60.0),
        ("temperature", "0.25", 0.25),
        ("max_tokens", "100", 100),
        ("verify_ssl", "False", False),
        ("verify_ssl", "0", False),
        ("verify_ssl", "no", False),
        ("proxy", "off", False),
        ("resend", "false", False),
        ("reasoning_effort", "low", "low"),
    ],
)
def test_the_environment_sets_a_default(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object) -> None:
    before = setting(name)
    monkeypatch.setenv(f"UNIFIED_LLM_{name.upper()}", text)
    assert setting(name) == value
    monkeypatch.setenv(f"UNIFIED_LLM_{name.upper()}", "")
    assert setting(name) == before != value


def test_configure_goes_before_the_environment_until_it_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFIED_LLM_TIMEOUT", "20")
    configure(timeout=7)
    assert setting("timeout") == 7
    configure(request_timeout=8)
    assert setting("timeout") == 8
    configure(timeout=None)
    assert setting("timeout") == 20


@each(
    ("name", "value", "expected"),
    [
        ("timeout", 0, "greater than 0 seconds"),
        ("timeout", -1, "greater than 0 seconds"),
        ("timeout", float("nan"), "must be a finite number of seconds"),
        ("timeout", float("inf"), "must be a finite number of seconds"),
        ("timeout", True, "must be a number"),
        ("timeout", "sk-MISPLACED", "must be a number"),
        ("max_retries", -1, "at least 0"),
        ("max_retries", 1.5, "whole number"),
        ("retry_delay", [1], "must be a number"),
        ("temperature", "warm", "temperature must be a number"),
        ("verify_ssl", [], "verify_ssl must be True, False"),
        ("default_headers", {"Authorization": "Bearer sk-MISPLACED"}, "default_headers"),
        ("breaker", {"failures": "many"}, "breaker.failures must be a whole number"),
        ("model", "nope/x", "names no known provider"),
        ("provider", "opnai", "openai"),
        ("base_url", "ftp://h.example", "must begin with https://"),
        ("fallbacks", "ollama/m", "write fallbacks=['ollama/m']"),
        ("fallbacks", ["nope/x"], "names no known provider"),
        ("fallbacks", [{"model": "ollama/m", "fallbacks": ["gpt-5"]}], "did you mean openai/gpt-5?"),
        ("api", "nope", "No provider has the api 'nope'; to choose from: "),
        ("fallbacks", [5], "A fallback is a model string, a mapping or an LLMConfig, not int"),
        ("telemetry", "yes", "must be True, False or"),
        ("error_details", 1, "must be True or False"),
    ],
)
def test_a_default_that_makes_no_sense_is_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(**{name: value})
    assert expected in str(refused.value)
    assert "configure(" in str(refused.value)
    assert "MISPLACED" not in str(refused.value)
    config = LLMConfig(model="ollama/m")
    assert merge(config, registry.row("ollama"), process_settings.layers()) is config


@each(
    ("name", "hint"),
    [
        ("time_out", "did you mean timeout?"),
        ("mode", "did you mean model?"),
        ("provder", "did you mean provider?"),
        ("organization", "default_headers="),
        ("deadline", "it is a setting of a whole chain"),
        ("zzz", "known are the fields of LLMConfig, and providers, config, env_file"),
    ],
)
def test_an_unknown_default_is_refused_with_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(**{name: 1})  # type: ignore[arg-type]
    assert hint in str(refused.value)


def test_one_wrong_default_leaves_the_others_unset() -> None:
    with pytest.raises(ConfigurationError):
        configure(timeout=5, max_retries=-1)
    with pytest.raises(ConfigurationError):
        configure(timeout=5, telemetry="no")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        configure(timeout=5, providers={"openai": {"api_key": "sk-CANARY "}})
    with pytest.raises(ConfigurationError):
        configure(timeout=5, config="nowhere.yaml")
    assert setting("timeout") is None


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("TIMEOUT", "sk-MISPLACED", "must be a number of seconds"),
        ("TIMEOUT", "nan", "must be a finite number of seconds"),
        ("TIMEOUT", "0", "greater than 0 seconds"),
        ("TIMEOUT", " ", "must be a number of seconds"),
        ("MAX_RETRIES", "1.5", "must be a whole number"),
        ("MAX_RETRIES", "-1", "at least 0"),
        ("CACHE_TTL", "-1", "0 or greater"),
        ("PROVIDER", "opnai", "variable UNIFIED_LLM_PROVIDER: 'opnai' is no known provider"),
        ("MODEL", "nope/x", "nope"),
    ],
)
def test_a_variable_that_holds_nonsense_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: str
) -> None:
    monkeypatch.setenv(f"UNIFIED_LLM_{name}", text)
    with pytest.raises(ConfigurationError, match=expected) as refused:
        LLMClient()
    assert f"UNIFIED_LLM_{name}" in str(refused.value) or name == "MODEL"
    assert "MISPLACED" not in str(refused.value)


def test_defaults_reach_targets_made_afterwards_and_explicit_fields_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFIED_LLM_MAX_RETRIES", "5")
    before = target("mlx/demo")
    configure(timeout=7, retry_delay=0.5)
    after = target("mlx/demo")
    explicit = target("mlx/demo", timeout=3, max_retries=0, retry_delay=2.0)
    assert (before.timing.fixed, before.retry.limit, before.retry.delay) == (False, 5, 1.0)
    assert (after.timing.first_token, after.timing.whole, after.timing.fixed) == (7, 7, True)
    assert (after.retry.limit, after.retry.delay) == (5, 0.5)
    assert (explicit.timing.whole, explicit.retry.limit, explicit.retry.delay) == (3.0, 0, 2.0)


# What a value is that every field of LLMConfig can have, and where a target has it.
VALUES: dict[str, Any] = {
    "temperature": 0.25, "max_tokens": 7, "top_p": 0.5, "stop": ("end",), "seed": 3, "frequency_penalty": 0.1,
    "presence_penalty": 0.2, "reasoning_effort": "low", "dimensions": 8, "reasoning_format": "raw",
    "text_tool_calls": False, "merge_messages": False, "timeout": 4.0, "connect_timeout": 2.0, "max_retries": 1,
    "retry_delay": 0.5, "retry_max_delay": 3.0, "retry_exponential_base": 1.5, "resend": False, "cache_ttl": 9.0,
    "breaker": BreakerConfig(failures=2), "max_response_bytes": 1000, "verify_ssl": False, "allow_http": True,
    "default_headers": {"X-Team": "one"}, "extra_body": {"user": "u"}, "context_window": 4000, "last_resort": True,
    "mlx": MLXConfig(kv_bits=8), "download": True, "memory_limit": 1000, "standby": "warm",
    "proxy": "http://user:pw-CANARY@127.0.0.1:3128", "space": "s", "api_version": "2024-10-21", "rpm": 60, "tpm": 9000,
}  # fmt: skip


@each(("name", "value"), VALUES.items())
def test_every_field_is_a_default_that_a_constructor_overrides(name: str, value: Any) -> None:
    before, expected = setting(name), getattr(LLMConfig(**{name: value}), name)
    configure(**{name: value})
    assert setting(name) == expected != before
    assert setting(name, **{name: value}) == expected
    configure(**{name: None})
    assert setting(name) == before


def test_every_field_of_a_configuration_can_be_set() -> None:
    of_a_connection = {"api_key", "api_key_env", "account", "base_url", "client_cert"}
    ways_of_their_own = {"model", "provider", "name", "fallbacks", "api", *of_a_connection}
    assert LLMConfig.model_fields.keys() - VALUES.keys() - ways_of_their_own == set()


def test_an_adapter_has_the_defaults_of_the_process() -> None:
    configure(temperature=0.25, max_retries=1, verify_ssl=False, allow_http=True)
    for make in (ChatUnified, UnifiedLLM, UnifiedEmbeddings, UnifiedEmbedding):
        made = make(model="ollama/m").client.targets[0]
        assert (made.defaults["temperature"], made.retry.limit, made.verify) == (0.25, 1, False)
        assert make(model="ollama/m", verify_ssl=True, max_retries=2).client.targets[0].verify is True


def test_a_target_that_a_call_names_has_what_the_process_set_when_the_client_was_made() -> None:
    configure(temperature=0.3)
    client = LLMClient("ollama/m")
    configure(temperature=0.9)
    assert client._chain_of("ollama/other", client.options).targets[0].defaults["temperature"] == 0.3


def test_a_client_that_exists_keeps_what_it_had() -> None:
    client = LLMClient("ollama/m")
    configure(temperature=0.25)
    assert client.targets[0].defaults == {}
    assert LLMClient("ollama/m").targets[0].defaults == {"temperature": 0.25}


# The target of a client that names none


def test_a_client_without_a_model_has_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFIED_LLM_MODEL", "openai/gpt-5-mini")
    assert target(None).name == "openai/gpt-5-mini"
    configure(model="ollama/llama3.2", name="local", fallbacks=["mlx/demo", "ollama/llama3.2"])
    client = LLMClient(temperature=0.5)
    assert [each.name for each in client.targets] == ["local", "mlx/demo"]
    assert client.targets[0].defaults == {"temperature": 0.5}
    assert target("ollama/other").name == "ollama/other"
    assert target(None, provider="ollama").model == "llama3.2"
    assert [each.name for each in LLMClient("ollama/m", fallbacks=["groq/x"]).targets] == ["ollama/m", "groq/x"]
    assert [each.name for each in LLMClient(LLMConfig(model="ollama/m", fallbacks=[])).targets] == ["ollama/m"]


def test_a_default_provider_is_that_of_models_without_one() -> None:
    configure(provider="ollama")
    assert target("llama3.2").name == "ollama/llama3.2"
    assert target("openai/gpt-5-mini").provider == "openai"


# Keys and addresses of providers


def test_a_key_of_a_provider_goes_to_its_targets_alone(no_keys: None) -> None:
    configure(providers={"openai": {"api_key": "sk-CANARY-configured", "timeout": 3}}, timeout=8)
    made = target("openai/gpt-5-mini")
    assert made.key is not None
    assert made.key.reveal() == "sk-CANARY-configured"
    assert (made.timing.whole, target().timing.whole) == (3.0, 8.0)
    with pytest.raises(ConfigurationError, match="no API key"):
        LLMClient("anthropic/claude-haiku-4-5")
    with pytest.raises(ConfigurationError, match="no API key for this base_url"):
        LLMClient("openai/gpt-5-mini", base_url="https://elsewhere.example")
    configure(providers={"openai": None})
    with pytest.raises(ConfigurationError, match="no API key"):
        LLMClient("openai/gpt-5-mini")


def test_a_key_goes_to_the_address_beside_it(no_keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(providers={"openai": {"api_key": "sk-CANARY-gateway", "base_url": "https://gateway.example"}})
    made = target("openai/gpt-5-mini")
    assert made.base_url == "https://gateway.example/v1"
    assert made.key is not None
    assert target("openai/x", base_url="https://gateway.example/v1").key == made.key
    monkeypatch.setenv("OPENAI_BASE_URL", "https://other.example")
    assert target("openai/gpt-5-mini").base_url == "https://gateway.example/v1"
    explicit = target("openai/gpt-5-mini", base_url="https://mine.example", api_key="sk-CANARY-mine")
    assert explicit.base_url == "https://mine.example/v1"
    assert explicit.key is not None
    assert explicit.key.reveal() == "sk-CANARY-mine"


def test_a_key_of_the_process_goes_before_that_of_the_environment() -> None:
    configure(providers={"openai": {"api_key": "sk-CANARY-configured"}})
    made = target("openai/gpt-5-mini")
    assert made.key is not None
    assert made.key.reveal() == "sk-CANARY-configured"


def test_an_address_for_all_has_the_key_beside_it_and_no_other() -> None:
    configure(base_url=SERVER, api_key="sk-CANARY-gateway")
    for model in ("openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "vllm/m"):
        made = target(model)
        assert made.base_url.startswith("http://127.0.0.1:9")
        assert made.key is not None
        assert made.key.reveal() == "sk-CANARY-gateway"
    own = target("openai/gpt-5-mini", base_url="https://api.openai.com")
    assert own.key is not None
    assert own.key.reveal() == "sk-CANARY-of-OPENAI_API_KEY"
    assert target("mlx/demo").base_url == ""


def test_a_key_beside_a_model_is_that_of_its_provider(no_keys: None) -> None:
    configure(model="groq/m", api_key="sk-CANARY-groq")
    made = target(None)
    assert made.key is not None
    assert target("groq/other").key == made.key
    with pytest.raises(ConfigurationError, match="no API key"):
        LLMClient("openai/gpt-5-mini")


@each(
    ("given", "expected"),
    [
        ({"api_key": "sk-CANARY"}, "a key for no provider would go to all of them"),
        ({"providers": {"opnai": {}}}, "openai"),
        ({"providers": ["openai"]}, "is a mapping"),
        ({"providers": {"openai": "sk-CANARY"}}, "the fields of a provider are a mapping of names"),
        ({"providers": {"openai": {"model": "x"}}}, "model belongs to a target"),
        ({"providers": {"openai": {"api_key": "sk-CANARY", "api_key_env": "K"}}}, "are both given: leave one out"),
        ({"providers": {"openai": {"apikey": "sk-CANARY"}}}, "did you mean 'api_key'?"),
        ({"providers": {"openai": {"api_key": "sk-CANARY\n"}}}, "has white space"),
        ({"providers": {"openai": {"base_url": "https://u:sk-CANARY@h.example"}}}, "user name or password"),
        ({"config": ""}, "takes the path of a file"),
        ({"env_file": 3}, "takes the path of a file, not int"),
    ],
)
def test_wrong_settings_of_providers_are_refused_without_their_keys(given: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(**given)
    assert expected in str(refused.value)
    assert "CANARY" not in str(refused.value)


def test_what_is_set_shows_no_key() -> None:
    configure(providers={"openai": {"api_key": "sk-CANARY-configured", "default_headers": {"X-Key": "sk-CANARY"}}})
    assert "CANARY" not in repr(process_settings.state())
    assert "CANARY" not in repr(process_settings.layers())


# Fallbacks of every chain


def test_fallbacks_for_all_are_for_chats() -> None:
    configure(fallbacks=["ollama/llama3.2"])
    assert len(ChatUnified(model="groq/x").client.targets) == 2
    for embeddings in (UnifiedEmbeddings, UnifiedEmbedding):
        assert len(embeddings(model="openai/text-embedding-3-small").client.targets) == 1
        assert len(embeddings(model="ollama/nomic-embed-text").client.targets) == 1
    for model in ("cohere/rerank-v3.5", "openai/dall-e-3", "vllm/bge-reranker"):
        assert len(LLMClient(model).targets) == 1
    assert len(LLMClient("groq/x", fallbacks=[]).targets) == 1
    assert len(LLMClient("groq/x", fallbacks=()).targets) == 2


def test_what_the_process_sets_is_in_the_key_of_a_cache() -> None:
    strings = [ChatUnified(model="ollama/m")._get_llm_string()]
    for settings in ({"temperature": 0.5}, {"extra_body": {"user": "u"}}, {"base_url": SERVER, "api_key": "sk-CANARY"}):
        configure(**settings)
        strings.append(ChatUnified(model="ollama/m")._get_llm_string())
        assert "CANARY" not in strings[-1]
    assert len({*strings}) == len(strings)


def test_a_key_of_a_provider_may_be_a_variable_or_a_function_with_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_GATEWAY_KEY", "sk-CANARY-of-the-variable")
    configure(providers={"openai": {"api_key_env": "MY_GATEWAY_KEY", "account": "team-a"}})
    made = target("openai/gpt-5-mini")
    assert made.key is not None
    assert (made.key.reveal(), made.account_name) == ("sk-CANARY-of-the-variable", "team-a")
    assert target("openai/gpt-5-mini", account="team-b").account_name == "team-b"
    assert target("openai/gpt-5-mini", api_key="sk-CANARY-mine").account_name is None
    configure(providers={"openai": {"api_key": lambda: "sk-CANARY-of-the-function"}, "groq": {"account": "team-c"}})
    assert target("openai/gpt-5-mini").key_callable is not None
    assert target("groq/x").account_name == "team-c"


def test_words_for_true_and_false_mean_the_same_in_every_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for words, means in ((("1", "true", "Yes", "ON "), True), (("0", "False", "no", "off"), False)):
        for word in words:
            for name in ("TELEMETRY", "ERROR_DETAILS", "MODEL_CACHE", "VERIFY_SSL", "ALLOW_HTTP"):
                monkeypatch.setenv(f"UNIFIED_LLM_{name}", word)
            assert [default(name) for name in ("telemetry", "error_details", "model_cache")] == [means] * 3
            layer = environment_layer()
            assert (layer.fields["verify_ssl"], layer.fields["allow_http"]) == (means, means), word
