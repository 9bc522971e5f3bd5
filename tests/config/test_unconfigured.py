"""What a chain lacks is listed by one error, and a key that stays at home is reported when the client is created."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from typing import Any, Self

import pytest

from tests.support.each import each
from unified_llm import LLMClient, LLMConfig, register_provider
from unified_llm._providers import registry
from unified_llm._providers.registry import ROWS
from unified_llm.exceptions import ConfigurationError, UnconfiguredError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM
from unified_llm.llama_index.rerank import UnifiedRerank

SURFACES: list[Callable[..., Any]] = [
    LLMClient, ChatUnified, UnifiedLLM, UnifiedEmbeddings, UnifiedEmbedding, UnifiedRerank,
]  # fmt: skip
KEY = "sk-CANARY-0123456789"
CHAIN = ["anthropic/claude-haiku-4-5", {"model": "azure/chat"}, LLMConfig(model="openai-compatible/q"), "ollama/q"]
LINES = [
    "openai/gpt-5-mini: no API key (set OPENAI_API_KEY or pass api_key=)",
    "anthropic/claude-haiku-4-5: no API key (set ANTHROPIC_API_KEY or pass api_key=)",
    (
        "azure/chat: no URL (pass base_url= or set AZURE_OPENAI_ENDPOINT); "
        "no API key (set AZURE_OPENAI_API_KEY or pass api_key=)"
    ),
    "openai-compatible/q: no URL (pass base_url= or set OPENAI_COMPATIBLE_BASE_URL)",
]


@pytest.fixture(autouse=True)
def _no_keys(no_keys: None) -> None:
    """Start with no API key in the environment."""


def refused(make: Callable[..., Any], *args: Any, **fields: Any) -> str:
    with pytest.raises(UnconfiguredError) as caught:
        make(*args, **fields)
    assert type(caught.value) is UnconfiguredError
    assert isinstance(caught.value, ConfigurationError)
    assert type(caught.value).__module__ == "unified_llm.exceptions"
    return str(caught.value)


@each("make", SURFACES)
def test_one_message_lists_what_every_target_of_the_chain_lacks(make: Callable[..., Any]) -> None:
    lines = refused(make, "openai/gpt-5-mini", fallbacks=CHAIN).splitlines()
    assert lines[0] == "4 of 5 targets are not configured:"
    assert [line.strip() for line in lines[1:-1]] == LINES
    assert lines[-1].endswith("skip_unconfigured=True skips those that are not configured.")
    left = make("openai/gpt-5-mini", fallbacks=CHAIN, skip_unconfigured=True)
    assert [target.name for target in getattr(left, "client", left).targets] == ["ollama/q"]


@each("make", SURFACES)
def test_a_chain_of_which_nothing_is_left_lists_the_same(make: Callable[..., Any]) -> None:
    lines = refused(make, "openai/gpt-5-mini", fallbacks=CHAIN[:3], skip_unconfigured=True).splitlines()
    assert [line.strip() for line in lines] == [
        "No target is left:",
        *LINES,
        "Configure one of them, or add a target that needs no configuration.",
    ]


def test_nested_chains_are_listed_too() -> None:
    nested = LLMConfig(model="groq/x", fallbacks=["mistral/y", {"model": "cohere/z"}])
    message = refused(LLMClient, "ollama/a", fallbacks=[nested])
    assert [line.split(":")[0].strip() for line in message.splitlines()[1:-1]] == ["groq/x", "mistral/y", "cohere/z"]
    message = refused(ChatUnified, "ollama/a", fallbacks=[ChatUnified(model="ollama/b"), {"model": "groq/x"}])
    assert message.startswith("groq/x is not configured: no API key (set GROQ_API_KEY or pass api_key=). ")


def test_a_chain_within_a_chain_skips_what_it_skips_alone() -> None:
    inner = ChatUnified(model="groq/x", fallbacks=["ollama/b", {"model": "mistral/y"}], skip_unconfigured=True)
    outer = ChatUnified(model="ollama/a", fallbacks=[inner])
    assert [target.name for target in outer.client.targets] == ["ollama/a", "ollama/b"]
    strict = ChatUnified(model="ollama/b", fallbacks=["ollama/c"])
    assert len(ChatUnified(model="ollama/a", fallbacks=[strict]).client.targets) == 3


def test_a_provider_of_the_users_says_what_it_needs() -> None:
    register_provider("gw", base_url="https://gw.example", api_key_env="GW_KEY")
    try:
        assert "gw/m is not configured: no API key (set GW_KEY or pass api_key=)." in refused(LLMClient, "gw/m")
        with Warnings() as warnings, pytest.MonkeyPatch.context() as patch:
            patch.setenv("GW_KEY", KEY)
            LLMClient("gw/m", base_url="http://127.0.0.1:9")
        assert warnings.texts == [
            "gw/m: no API key is sent to 127.0.0.1:9: GW_KEY is only sent to gw.example; pass api_key="
        ]
    finally:
        registry.unregister("gw")


def test_a_target_is_called_by_its_name() -> None:
    assert refused(LLMClient, LLMConfig(model="groq/x", name="backup")).startswith("backup is not configured: ")


def test_the_same_target_twice_is_listed_once() -> None:
    assert refused(LLMClient, "groq/x", fallbacks=["groq/x"]).startswith("groq/x is not configured: ")


@each("row", [row for row in ROWS if row.format != "mlx"])
def test_every_provider_says_what_it_needs(row: Any) -> None:
    expected = [f"set {row.key_env[0]}"] if row.key_required else []
    expected += [] if row.base_url or row.url_parts else ["pass base_url="]  # the tests have set regions
    if not expected:
        assert LLMClient(f"{row.name}/m").targets
        return
    message = refused(LLMClient, f"{row.name}/m")
    assert message.startswith(f"{row.name}/m is not configured: ")
    assert all(text in message for text in expected)


def test_a_missing_package_is_listed_beside_missing_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_llm._backends.mlx.find_spec", lambda _: None)
    message = refused(LLMClient, "openai/gpt-5-mini", fallbacks=["mlx/demo", "ollama/x"])
    assert "mlx/demo: MLX is not installed: run pip install 'unified-llm[mlx]'\n" in message
    assert LINES[0] in message


def test_a_mistake_in_a_target_is_reported_before_what_others_lack() -> None:
    with pytest.raises(ConfigurationError, match="no known provider") as caught:
        LLMClient("openai/gpt-5-mini", fallbacks=["nobody/x"])
    assert not isinstance(caught.value, UnconfiguredError)


def test_a_pickle_that_lacks_keys_lists_all_of_them() -> None:
    client = LLMClient("openai/x", api_key=KEY, fallbacks=[{"model": "groq/y", "api_key": KEY}])
    message = refused(pickle.loads, pickle.dumps(client))  # our own
    assert message.count("which was left out of the pickle") == 2


def test_a_model_that_a_call_names_is_not_skipped() -> None:
    client = LLMClient("ollama/x", skip_unconfigured=True)
    message = refused(client.generate, "Hi", model="groq/llama")
    assert message == (
        "groq/llama, which the call names, is not configured: no API key (set GROQ_API_KEY or pass api_key=)."
    )
    with pytest.raises(UnconfiguredError, match="groq/llama, which the call names") as caught:
        ChatUnified(model="ollama/x").invoke("Hi", model="groq/llama")
    assert type(caught.value).__name__ == "ChainUnconfiguredError"


def test_a_key_in_the_place_of_a_model_is_in_no_message() -> None:
    assert "0123456789abcdef" not in refused(LLMClient, "openai/sk-0123456789abcdef")


def test_a_variable_that_is_empty_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "")
    assert "no API key (set GEMINI_API_KEY, which is empty, or pass api_key=)" in refused(LLMClient, "gemini/m")


def test_a_variable_whose_key_would_not_be_sent_is_no_advice() -> None:
    message = refused(LLMClient, "openai/m", base_url="https://gateway.example")
    assert message.startswith("openai/m is not configured: no API key for this base_url (pass api_key=). ")


# A key of the environment that is not sent


class Warnings(logging.Handler):
    """Collects the texts of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def __enter__(self) -> Self:
        logging.getLogger("unified_llm").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("unified_llm").removeHandler(self)


@each("row", [row for row in ROWS if row.key_env])
def test_a_key_that_stays_at_home_is_warned_of_once_for_each_target(row: Any) -> None:
    variable = row.key_env[0]
    with pytest.MonkeyPatch.context() as patch, Warnings() as warnings:
        patch.setenv(variable, KEY)
        for _ in range(3):
            LLMClient(f"{row.name}/m", base_url="http://gateway:4000")
        (warning,) = warnings.texts
        assert f"no API key is sent to gateway:4000: {variable} is only sent to " in warning
        assert warning.startswith(f"{row.name}/m: ")
        assert warning.endswith("; pass api_key=")
        LLMClient(f"{row.name}/other", base_url="http://gateway:4000")
        assert len(warnings.texts) == 2


@each(
    "fields",
    [
        {"base_url": "http://gateway:4000", "api_key": KEY, "allow_http": True},
        {"base_url": "http://gateway:4000", "default_headers": {"X-Gateway-Key": "of the gateway"}},
        {"base_url": "http://gateway:4000", "extra_body": {"api_key": "of the gateway"}},
        {"base_url": "https://eu.api.openai.com"},
        {},
    ],
)
def test_a_key_that_is_sent_is_not_warned_of(fields: Any) -> None:
    with pytest.MonkeyPatch.context() as patch, Warnings() as warnings:
        patch.setenv("OPENAI_API_KEY", KEY)
        LLMClient("openai/m", **fields)
        assert warnings.texts == []


def test_no_key_is_expected_where_the_environment_has_none() -> None:
    with Warnings() as warnings:
        LLMClient("ollama/m", fallbacks=["vllm/m", {"model": "openai/m", "base_url": "http://127.0.0.1:9"}])
    assert warnings.texts == []


def test_a_url_from_the_variable_of_the_provider_gets_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:4000")
    with Warnings() as warnings:
        assert LLMClient("openai/m").targets[0].key is not None
    assert warnings.texts == []
