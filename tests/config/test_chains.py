"""Chains that cannot do what they are for: found when they are made, on every surface."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, register_provider
from unified_llm._core.outcome import Done
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM
from unified_llm.types import EmbeddingResponse, Tool

SMALL = "openai/text-embedding-3-small"
KEY = "sk-CANARY-0123456789"
EMBEDDERS: tuple[Callable[..., Any], ...] = (LLMClient, UnifiedEmbeddings, UnifiedEmbedding)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI", "COHERE", "MISTRAL", "ANTHROPIC", "OPENROUTER"):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)


# Embeddings


@each(
    ("fallbacks", "fields", "expected"),
    [
        (["cohere/embed-english-v3.0"], {}, "vectors of two models do not mix"),
        (["ollama/nomic-embed-text"], {}, "declare the same space= for both targets"),
        (["ollama/small"], {"space": "mine"}, "ollama/small cannot replace openai/text-embedding-3-small"),
        ([{"model": "ollama/small", "space": "small"}], {}, "ollama/small cannot replace"),
        (
            [{"model": SMALL, "base_url": "https://eu.example", "api_key": KEY}],
            {"space": "mine"},
            "vectors of two models do not mix",
        ),
        (["anthropic/claude-haiku-4-5"], {}, "a chat model makes no embeddings"),
        (["mlx/demo"], {}, "a chat model makes no embeddings"),
        ([LLMConfig(model="openrouter/" + SMALL, fallbacks=["ollama/y"])], {}, "ollama/y cannot replace"),
    ],
)
def test_an_embedding_fallback_that_can_never_serve_is_refused(
    fallbacks: list[Any], fields: dict[str, Any], expected: str
) -> None:
    for surface in EMBEDDERS[1:]:
        with pytest.raises(ConfigurationError) as refused:
            surface(SMALL, fallbacks=fallbacks, api_key=KEY, **fields)
        assert expected in str(refused.value)


@each(
    "fallback", ["cohere/embed-english-v3.0", "ollama/nomic-embed-text", "mistral/mistral-embed", "ollama/all-minilm"]
)
def test_a_client_whose_models_are_all_for_embeddings_refuses_it_too(fallback: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{fallback} cannot replace {SMALL}"):
        LLMClient(SMALL, fallbacks=[fallback])
    with pytest.raises(ConfigurationError, match="cannot replace"):
        LLMClient(LLMConfig(model=SMALL, space="mine", fallbacks=[{"model": f"openrouter/{SMALL}"}]))


@each(
    ("fallbacks", "fields"),
    [
        (["openrouter/openai/text-embedding-3-small"], {}),
        (["lmstudio/Text-Embedding-3-Small"], {"base_url": "https://a.example"}),
        ([{"base_url": "https://eu.example"}], {}),
        ([{"base_url": "https://eu.example"}], {"space": "mine"}),
        ([{"model": "ollama/small", "space": "small"}], {"space": "small"}),
    ],
)
def test_the_same_model_elsewhere_and_the_same_space_are_accepted(fallbacks: list[Any], fields: dict[str, Any]) -> None:
    for surface in EMBEDDERS:
        assert surface(SMALL, fallbacks=fallbacks, api_key=KEY, **fields) is not None


def test_an_embedding_chain_is_checked_again_when_it_changes() -> None:
    for model in (UnifiedEmbeddings(model=SMALL), UnifiedEmbedding(model=SMALL)):
        with pytest.raises(ConfigurationError, match="cannot replace"):
            model.model_copy(update={"fallbacks": ["ollama/nomic-embed-text"]})


@each("primary", [GPT, SMALL])
def test_clients_for_chat_embed_with_one_warning_of_fallbacks_that_cannot(
    primary: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    vectors = Done(EmbeddingResponse([[1.0]]))
    with ScriptedTargets({SMALL: [[vectors]] * 4}).running():
        for client in (LLMClient(primary, fallbacks=["anthropic/x"]) for _ in range(2)):
            for _ in range(2):
                client.embed("Hello", model=SMALL)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "anthropic/x cannot replace openai/text-embedding-3-small" in record.getMessage()


# Copies


@each("surface", [LLMClient, ChatUnified, UnifiedLLM, UnifiedEmbedding])
def test_a_target_that_is_in_a_chain_twice_is_warned_of_once(
    surface: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    nested = LLMConfig(model="lmstudio/x", fallbacks=["ollama/x", "OLLAMA:x", "ollama_chat/x"])
    surface("ollama/x", fallbacks=[nested, "ollama/x"])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("ollama/x: in the chain more than once, with the same URL and API key")


def test_the_same_model_with_another_key_or_at_another_address_is_no_copy(caplog: pytest.LogCaptureFixture) -> None:
    LLMClient(
        GPT,
        api_key=KEY,
        fallbacks=[{"model": GPT, "api_key": "sk-other-0123456789"}, {"base_url": "https://a.example"}],
    )
    assert caplog.records == []


# on_attempt


async def observe(_attempt: object) -> None:
    """Wait for something."""


class Observer:
    async def __call__(self, attempt: object) -> None:
        """Wait for something."""


@each(
    ("callback", "expected"),
    [
        (observe, "on_attempt is an async function, and would never be awaited: pass a plain function"),
        (partial(observe), "on_attempt is an async function"),
        (Observer(), "on_attempt is an async function"),
        (Observer().__call__, "on_attempt is an async function"),
        ("observe", "on_attempt is a function that takes an Attempt, not str"),
        ([print], "on_attempt is a function that takes an Attempt, not list"),
        (True, "on_attempt is a function that takes an Attempt, not bool"),
    ],
)
def test_a_callback_that_could_not_be_called_is_refused(callback: Any, expected: str) -> None:
    for surface in (LLMClient, ChatUnified, UnifiedLLM, UnifiedEmbeddings, UnifiedEmbedding):
        with pytest.raises(ConfigurationError) as refused:
            surface("ollama/x", on_attempt=callback)
        assert expected in str(refused.value)


def test_a_callback_that_turns_out_to_be_async_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    client = LLMClient(GPT, on_attempt=lambda attempt: observe(attempt))  # type: ignore[arg-type] # noqa: PLW0108
    with ScriptedTargets({GPT: [say("Hello")]}).running():
        assert client.generate("Hello?").content == "Hello"
    assert [record.getMessage() for record in caplog.records if "coroutine" in record.getMessage()]


# Providers that are registered without features


def test_a_server_that_is_registered_without_features_can_what_any_server_of_its_format_can() -> None:
    tool = Tool("weather", "Tell the weather.", {"type": "object", "properties": {}})
    for wire_format, like in (("openai_chat", "openai-compatible"), ("anthropic", "anthropic"), ("gemini", "gemini")):
        register_provider("mine", base_url="https://mine.example", format=wire_format)
        target = LLMClient("mine/m").targets[0]
        assert target.features == registry.row(like).features
    register_provider("mine", base_url="https://mine.example")
    assert LLMClient("mine/m").targets[0].quirks == registry.row("openai-compatible").quirks
    with ScriptedTargets({"mine/m": [say("Hello")]}).running():
        assert LLMClient("mine/m").generate("Hello?", tools=[tool]).content == "Hello"
    register_provider("mine", base_url="https://mine.example", features=["tools"])
    features = LLMClient("mine/m").targets[0].features
    assert "tools" in features
    assert "json_schema" not in features
