"""Fallbacks that name no model: they are asked for the model of the call, or of the primary."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import WAYS, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, register_provider
from unified_llm._core.outcome import Done, Failure
from unified_llm._providers import registry
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import EmbeddingResponse

DOWN = Failure("connect")
KEY, OWN = "sk-CANARY-0123456789", "sk-CANARY-of-the-primary"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI", "ANTHROPIC", "OPENROUTER", "GROQ", "DEEPSEEK"):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)
    for name in ("AZURE_OPENAI_DEPLOYMENT", "MLX_MODEL_PATH", "VISION_MODEL", "LMSTUDIO_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def asked(client: LLMClient, model: str | None = None) -> list[str]:
    """Return the names of the targets of a call, each of which is down."""
    targets = client._chain_of(model, client.options).targets
    with ScriptedTargets({target.own_name: [DOWN] for target in targets}).running():
        attempts = outcome_of("generate", client, model=model).attempts
    return [*dict.fromkeys(attempt[0] for attempt in attempts)]


@pytest.mark.parametrize("way", WAYS)
def test_both_are_asked_for_the_model_of_the_call(way: Way) -> None:
    config = LLMConfig(provider="ollama", fallback_configs=[LLMConfig(provider="lmstudio")])
    targets = ScriptedTargets({"ollama/llama2:7b": [DOWN], "lmstudio/llama2:7b": [say("Hello")]})
    with targets.running():
        outcome = outcome_of(way, LLMClient(config), {"messages": "Hello?", "model": "llama2:7b"})
    assert outcome.content == "Hello"
    assert [attempt[0] for attempt in outcome.attempts] == ["ollama/llama2:7b"] * 2 + ["lmstudio/llama2:7b"]


LMSTUDIO: dict[str, Any] = {"provider": "lmstudio"}
WEST: dict[str, Any] = {"base_url": "https://west.example", "api_key": KEY}


@each(
    ("primary", "fallbacks", "call", "expected"),
    [
        # the primary's model
        ("ollama/llama2", [LMSTUDIO], None, ["ollama/llama2", "lmstudio/llama2"]),
        ("ollama/mistral:7b", [LMSTUDIO], None, ["ollama/mistral:7b", "lmstudio/mistral:7b"]),
        (LLMConfig(provider="ollama", model="a"), [LMSTUDIO], None, ["ollama/a", "lmstudio/a"]),
        # the call's
        ("ollama/llama2", [LMSTUDIO], "llama3", ["ollama/llama3", "lmstudio/llama3"]),
        ("ollama/llama2", [LMSTUDIO], "ollama/llama3", ["ollama/llama3", "lmstudio/llama3"]),
        ("ollama/llama2", [LMSTUDIO], "ollama:llama3", ["ollama/llama3", "lmstudio/llama3"]),
        ("ollama/llama2", [LMSTUDIO], "openai/gpt-4o", ["openai/gpt-4o", "lmstudio/gpt-4o"]),
        (LLMConfig(provider="ollama"), [LMSTUDIO], "llama3", ["ollama/llama3", "lmstudio/llama3"]),
        # one that names its model keeps it
        ("ollama/llama2", [LMSTUDIO, "groq/x"], "b", ["ollama/b", "lmstudio/b", "groq/x"]),
        # the same deployment elsewhere
        ("openai/gpt-4o", [WEST], None, ["openai/gpt-4o@api.openai.com", "openai/gpt-4o@west.example"]),
        ("openai/gpt-4o", [WEST], "gpt-5", ["openai/gpt-5@api.openai.com", "openai/gpt-5@west.example"]),
        ("openai/gpt-4o", [WEST], "openai/gpt-5", ["openai/gpt-5@api.openai.com", "openai/gpt-5@west.example"]),
        ("openai/gpt-4o", [WEST], "groq/llama", ["groq/llama", "openai/gpt-4o"]),
        (LLMConfig(provider="openai"), [WEST], "groq:llama", ["groq/llama", "openai/llama"]),
        # names of a gateway
        ("openrouter/a/b", [LMSTUDIO], None, ["openrouter/a/b", "lmstudio/a/b"]),
        ("openrouter/a/b", [{"provider": "openai"}], "openai/gpt-4o", ["openrouter/openai/gpt-4o", "openai/gpt-4o"]),
        ("openrouter/a/b", [{"provider": "groq"}], "openai/oss", ["openrouter/openai/oss", "groq/openai/oss"]),
        ("openrouter/a/b", [{"provider": "ollama"}], "openai/gpt-oss", ["openrouter/openai/gpt-oss", "ollama/gpt-oss"]),
        ("openai/gpt-4o", [{"provider": "openrouter"}], None, ["openai/gpt-4o", "openrouter/openai/gpt-4o"]),
        # fallbacks of a fallback
        ("openai/a", [LLMConfig(model="ollama/b", fallbacks=[LMSTUDIO])], "c", ["openai/c", "ollama/b", "lmstudio/b"]),
        ("openai/a", [LLMConfig(provider="ollama", fallbacks=[LMSTUDIO])], "c", ["openai/c", "ollama/c", "lmstudio/c"]),
        (
            "openai/a", [LLMConfig(provider="groq", fallbacks=[WEST])], "c",
            ["openai/c", "groq/c@api.groq.com", "groq/c@west.example"],
        ),
        (
            "openai/a", [LLMConfig(**WEST, fallbacks=[{"base_url": "https://east.example"}])], "groq/c",
            ["groq/c", "openai/a@west.example", "openai/a@east.example"],
        ),
    ],
)  # fmt: skip
def test_a_fallback_follows(primary: Any, fallbacks: list[Any], call: str | None, expected: list[str]) -> None:
    assert asked(LLMClient(primary, fallbacks=fallbacks), call) == expected


def test_nothing_of_the_primary_but_its_model_goes_to_another_provider() -> None:
    client = LLMClient("openai/gpt-4o", api_key=OWN, extra_body={"user": "u"}, fallbacks=[LMSTUDIO], temperature=0.5)
    for model in (None, "gpt-5"):
        target = client._chain_of(model, client.options).targets[1]
        assert (target.extra_body, target.defaults) == ({}, {"temperature": 0.5})
        assert target.key is None or target.key.reveal() != OWN


def test_the_fallbacks_of_a_fallback_take_over_from_it_and_not_from_the_primary() -> None:
    east = LLMConfig(model="groq/x", api_key="gsk-east", fallbacks=[{"base_url": "https://west.example"}])
    client = LLMClient("openai/gpt-4o", api_key=KEY, fallbacks=[east])
    assert client.targets[2].provider == "groq"
    assert client.targets[2].key == east.api_key


def test_the_window_that_was_declared_for_the_primarys_model_is_not_that_of_another() -> None:
    client = LLMClient("vllm/a", context_window=4096, fallbacks=[{"base_url": "http://10.0.0.2:8000"}, LMSTUDIO])
    windows = [target.context_window for target in client._chain_of(None, client.options).targets]
    assert windows == [4096, 4096, None]
    assert [target.context_window for target in client._chain_of("b", client.options).targets] == [None] * 3
    served = LLMClient(LLMConfig(provider="ollama", context_window=8192))
    assert served._chain_of("any", served.options).targets[0].context_window == 8192


def test_embeddings_and_adapters_follow_as_well() -> None:
    vectors = [Done(EmbeddingResponse([[1.0]]))]
    targets = ScriptedTargets({"ollama/embed-b": [DOWN], "lmstudio/embed-b": [vectors], "lmstudio/llama2": [say("Hi")]})
    with targets.running():
        client = LLMClient("ollama/embed-a", fallbacks=[LMSTUDIO])
        assert client.embed("x", model="embed-b").vectors == [[1.0]]
        assert (
            ChatUnified("ollama/embed-b", fallbacks=[{"provider": "lmstudio", "model": "llama2"}]).invoke("x").content
        )
        for model in (ChatUnified("lmstudio/llama2"), ChatUnified("ollama/embed-b", fallbacks=[LMSTUDIO])):
            assert [target.provider for target in model.client.targets][-1] == "lmstudio"
        assert UnifiedLLM("ollama/x", fallbacks=[LMSTUDIO]).client.targets[1].name == "lmstudio/x"


def test_a_chain_in_a_chain_keeps_what_its_fallbacks_follow() -> None:
    inner = ChatUnified("ollama/llama2", fallbacks=[LMSTUDIO])
    names = [target.name for target in ChatUnified("openai/gpt-4o", fallbacks=[inner]).client.targets]
    assert names == ["openai/gpt-4o", "ollama/llama2", "lmstudio/llama2"]


def test_a_fallback_that_cannot_have_the_model_of_the_call_is_left_out_with_a_word(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    client = LLMClient(LLMConfig(provider="ollama"), fallbacks=[LLMConfig(provider="mlx")])
    targets = ScriptedTargets({"ollama/nowhere": [DOWN]})
    with targets.running(), caplog.at_level(logging.WARNING, "unified_llm"):
        outcome = outcome_of("generate", client, model="nowhere")
    assert "A target is skipped: mlx/nowhere: There is no such folder" in caplog.text
    assert "mlx/nowhere" in outcome.message


class Own:
    def generate(self, request: Any) -> str:
        return f"I am {request.model}"


def test_a_provider_of_ones_own_follows() -> None:
    register_provider("own", Own())
    try:
        targets = LLMClient("ollama/a", fallbacks=[{"provider": "own"}]).targets
    finally:
        registry.unregister("own")
    assert [target.name for target in targets] == ["ollama/a", "own/a"]
