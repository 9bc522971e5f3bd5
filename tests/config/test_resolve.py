"""From a configuration to one target: model string, key, base URL, timeouts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.each import each
from unified_llm import BreakerConfig, LLMClient, LLMConfig, Provider
from unified_llm._core.target import Target
from unified_llm._providers.registry import ROWS
from unified_llm.exceptions import ConfigurationError

KEY = "sk-CANARY-0123456789"


def only_target(config: str | dict[str, Any] | LLMConfig | None = None, **fields: Any) -> Target:
    (target,) = LLMClient(config, **fields).targets
    return target


def names(*args: Any, **fields: Any) -> list[str]:
    return [target.name for target in LLMClient(*args, **fields).targets]


# Model strings


@each(
    ("model", "provider", "named"),
    [
        ("openai/gpt-5-mini", "openai", "gpt-5-mini"),
        ("openai:gpt-5-mini", "openai", "gpt-5-mini"),
        ("OpenAI/gpt-5-mini", "openai", "gpt-5-mini"),
        ("ollama/llama2:7b", "ollama", "llama2:7b"),
        ("ollama:llama2:7b", "ollama", "llama2:7b"),
        ("openrouter/meta-llama/llama-3.1-8b", "openrouter", "meta-llama/llama-3.1-8b"),
        ("hf/org/name:fastest", "huggingface", "org/name:fastest"),
        ("mlx/demo", "mlx", "demo"),
    ],
)
def test_the_provider_stands_before_the_first_slash_or_colon(model: str, provider: str, named: str) -> None:
    target = only_target(model, **({} if provider in {"ollama", "mlx"} else {"api_key": KEY}))
    assert (target.provider, target.model) == (provider, named)


@each("provider", ["openai", "OPENAI", Provider.OPENAI])
def test_with_a_provider_the_model_is_taken_literally(provider: str) -> None:
    target = only_target("ollama/llama2:7b", provider=provider, api_key=KEY)
    assert (target.provider, target.model) == ("openai", "ollama/llama2:7b")


def test_a_model_may_be_absent_until_the_call_names_one() -> None:
    assert only_target(provider="ollama").name == "ollama"


@each("row", ROWS)
def test_every_row_resolves_with_a_key_and_an_address(row: Any) -> None:
    address = {} if row.format == "mlx" else {"base_url": "https://models.example", "api_key": KEY}
    target = only_target("demo", provider=row.name, **address)
    assert (target.provider, target.format) == (row.name, row.format)
    if address:
        assert target.base_url == f"https://models.example{row.version}"


# Keys and addresses


def test_the_key_is_found_in_the_variable_of_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    target = only_target("openai/gpt-5-mini")
    assert target.key is not None
    assert target.key.reveal() == KEY
    assert only_target("openai/gpt-5-mini", api_key="sk-other").key != target.key


def test_the_first_variable_that_is_set_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "")
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    key = only_target("gemini/gemini-2.5-flash").key
    assert key is not None
    assert (key.reveal(), key.source) == (KEY, "the environment variable GEMINI_API_KEY")


# reliability.md, cases 64 and 65
@pytest.mark.parametrize(
    "base_url",
    [
        "https://evil.example",
        "https://api.openai.com.evil.example",
        "https://xapi.openai.com",
        "https://evil.example/api.openai.com",
        "https://evil.example/v1",
    ],
)
@pytest.mark.case(64, 65)
def test_a_key_of_the_environment_goes_to_the_own_host_alone(monkeypatch: pytest.MonkeyPatch, base_url: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigurationError, match=r"pass api_key=: OPENAI_API_KEY is only sent to api\.openai\.com\)"):
        LLMClient("openai/gpt-5-mini", base_url=base_url)
    explicit = only_target("openai/gpt-5-mini", base_url=base_url, api_key=KEY)
    assert explicit.key is not None


@pytest.mark.parametrize("provider", ["openai-compatible", "ollama", "vllm", "litellm"])
@pytest.mark.case(65)
def test_neither_does_the_key_of_a_server_that_needs_none(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    variable = next(row.key_env[0] for row in ROWS if row.name == provider)
    monkeypatch.setenv(variable, KEY)
    with pytest.raises(ConfigurationError, match=f"{variable} is only sent to"):
        LLMClient(f"{provider}/m", base_url="https://models.example")


def test_a_server_in_a_private_network_is_asked_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert only_target("openai/gpt-5-mini", base_url="http://gateway:8080").key is None
    assert only_target("openai/gpt-5-mini", base_url="http://127.0.0.1:8080").key is None


def test_a_region_of_the_provider_is_its_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    assert only_target("azure/gpt", base_url="https://west.openai.azure.com").key is not None
    with pytest.raises(ConfigurationError, match="only sent to"):
        LLMClient("azure/gpt", base_url="https://west.openai.azure.com.evil.example")


def test_an_address_from_the_variable_of_the_provider_counts_as_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/openai")
    target = only_target("openai/gpt-5-mini")
    assert target.base_url == "https://gateway.example/openai/v1"
    assert target.key is not None


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),  # noqa: S104 - a server's setting for where it listens
        ("0.0.0.0:11435", "http://127.0.0.1:11435/v1"),
        ("localhost", "http://localhost:11434/v1"),
        ("box:1234", "http://box:1234/v1"),
        ("box:1234/", "http://box:1234/v1"),
        ("box/proxy", "http://box:11434/proxy/v1"),
        (":11435", "http://127.0.0.1:11435/v1"),
        ("[::1]", "http://[::1]:11434/v1"),
        ("[::1]:11435", "http://[::1]:11435/v1"),
        ('"localhost"', "http://localhost:11434/v1"),
        (" localhost ", "http://localhost:11434/v1"),
        ("  ", "http://127.0.0.1:11434/v1"),
        ("http://box", "http://box/v1"),
        ("https://ollama.example/v1/", "https://ollama.example/v1"),
    ],
)
@pytest.mark.usefixtures("no_keys")
def test_ollama_is_addressed_as_it_addresses_itself(monkeypatch: pytest.MonkeyPatch, text: str, base_url: str) -> None:
    monkeypatch.setenv("OLLAMA_HOST", text)
    assert only_target("ollama/llama2").base_url == base_url


@pytest.mark.case(64)
@pytest.mark.usefixtures("no_keys")
def test_a_file_in_the_working_directory_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-of-a-file\nOPENAI_BASE_URL=https://evil.example\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        LLMClient("openai/gpt-5-mini")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"base_url": "http://models.example", "api_key": KEY}, "URL from base_url= is plain http, so the key"),
        ({"base_url": "http://box:8000", "api_key": KEY}, "so the key could be read"),
        ({"base_url": "http://models.example"}, "so every prompt could be read"),
    ],
)
@pytest.mark.usefixtures("no_keys")
def test_plain_http_has_to_be_a_decision(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        LLMClient("openai-compatible/m", **fields)
    assert only_target("openai-compatible/m", **fields, allow_http=True).base_url.startswith("http://")


def test_the_message_names_the_variable_of_a_plain_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway.example")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigurationError, match="The URL from OPENAI_BASE_URL is plain http"):
        LLMClient("openai/gpt-5-mini")


# Fields of a target


def test_what_was_configured_reaches_the_target() -> None:
    target = only_target(
        "openai/gpt-4o",
        api_key=KEY,
        max_retries=4,
        retry_delay=2,
        retry_max_delay=9,
        retry_exponential_base=3,
        default_headers={"x-team": "a"},
        extra_body={"user": "u"},
        temperature=0,
        max_tokens=7,
        stop="END",
        space="v1",
        verify_ssl="/etc/ca.pem",
        breaker=BreakerConfig(failures=2),
        last_resort=True,
    )
    assert (target.retry.limit, target.retry.delay, target.retry.delay_max, target.retry.factor) == (4, 2, 9, 3)
    assert (target.headers["x-team"], target.extra_body, target.space) == ("a", {"user": "u"}, "v1")
    assert target.defaults == {"temperature": 0, "max_tokens": 7, "stop": ("END",)}
    assert (target.verify, target.breaker.failures, target.last_resort) == ("/etc/ca.pem", 2, True)


def test_headers_of_the_user_join_those_of_the_provider() -> None:
    target = only_target("anthropic/claude-haiku-4-5", api_key=KEY, default_headers={"x-team": "a"})
    assert {"anthropic-version", "x-team"} <= set(target.headers)


def test_the_demo_model_alone_is_a_last_resort_by_itself() -> None:
    assert only_target("mlx/demo").last_resort
    assert not only_target("mlx/demo", last_resort=False).last_resort
    assert not only_target("ollama/llama2").last_resort


@each(
    ("fields", "is_vendor"),
    [
        ({"model": "openai/m"}, True),
        ({"model": "openai/m", "base_url": "https://eu.api.openai.com/v1"}, True),
        ({"model": "openai/m", "base_url": "https://api.openai.com:443"}, True),
        ({"model": "openai/m", "base_url": "https://api.openai.com:8443"}, False),
        ({"model": "openai/m", "base_url": "https://gateway.example"}, False),
        ({"model": "azure/m", "base_url": "https://one.openai.azure.com"}, True),
        ({"model": "openrouter/m"}, True),
        ({"model": "openai-compatible/m", "base_url": "https://one.example"}, False),
        ({"model": "vllm/m"}, False),
        ({"model": "vllm/m", "base_url": "http://localhost:8001"}, False),
        ({"model": "litellm/m"}, False),
        ({"model": "ollama/m"}, False),
        ({"model": "lmstudio/m", "base_url": "http://192.168.1.5:1234"}, False),
        ({"model": "mlx/demo"}, False),
    ],
)
def test_one_key_is_one_account_at_the_hosts_of_a_vendor_alone(fields: dict[str, Any], is_vendor: bool) -> None:  # noqa: FBT001
    key = {} if fields["model"].startswith("mlx") else {"api_key": "sk-1"}
    assert only_target(**fields, **key, allow_http=True).vendor_host is is_vendor


def test_a_url_from_a_variable_makes_no_vendor_of_a_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    target = only_target("openai/m")
    assert target.key
    assert not target.vendor_host
