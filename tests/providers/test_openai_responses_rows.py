"""Providers that have the Responses format, and models that use it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMConfig
from unified_llm._config import resolve
from unified_llm._core import base_url
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError

PROVIDERS = {row.name for row in registry.ROWS if "responses" in row.apis}


def resolved(model: str, **fields: Any) -> Target:
    arguments: dict[str, Any] = {"api_key": "sk-CANARY-4242"} | fields
    return resolve.chain(LLMConfig(model=model, **arguments), (), skip_unconfigured=False)[0][0].target


def test_openai_and_those_who_copied_both_of_its_formats_speak_it() -> None:
    assert {
        "openai",
        "azure",
        "openrouter",
        "groq",
        "xai",
        "vllm",
        "llamacpp",
        "lmstudio",
        "huggingface",
    } <= PROVIDERS
    assert not {"anthropic", "gemini", "cohere", "mlx"} & PROVIDERS


def test_the_usual_format_can_be_named_as_well() -> None:
    for name in PROVIDERS:
        row = registry.row(name)
        assert row.apis["chat"] == row.format
        assert {codec_for(format_name).framing for format_name in row.apis.values()} == {"events"}


def test_it_carries_one_answer_without_sound() -> None:
    for name in PROVIDERS:
        features = registry.model_profile(registry.row(name), "any", "responses").features
        assert not features & {"audio", "n", "as_text"}
        assert "streaming" in features


def test_a_server_that_ignores_schemas_does_not_promise_them() -> None:
    assert "json_schema" in resolved("llamacpp/any").features
    assert "json_schema" not in resolved("llamacpp/any", api="responses").features
    assert "json_object" not in resolved("lmstudio/any", api="responses").features


@each(
    "model", ["o1-pro", "o3-pro-2025-06-10", "gpt-5-pro", "gpt-5.5-pro-2026-04-23", "gpt-5-codex", "gpt-5.1-codex-max",
              "codex-mini-latest", "o3-deep-research", "o4-mini-deep-research-2025-06-26", "computer-use-preview",
              "gpt-6-cyber", "gpt-daybreak-blue-latest", "gpt-rosalind-research"],
)  # fmt: skip
def test_models_that_speak_it_alone_are_asked_in_it(model: str) -> None:
    target = resolved(f"openai/{model}")
    assert (target.format, target.reasoning) == ("openai_responses", True)
    assert "count_tokens" in target.features
    assert resolved(f"openai/{model}", api="chat").format == "openai_chat", "an explicit api= wins"
    assert resolved(f"openrouter/openai/{model}").format == "openai_chat", "both of its formats serve every model"


def test_other_models_are_asked_as_usual() -> None:
    for model in ("gpt-5", "gpt-5.1", "gpt-4.1", "o3", "o3-mini", "gpt-6-sol"):
        assert resolved(f"openai/{model}").format == "openai_chat"


def test_an_api_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match="OpenAI has no api 'respones'; to choose from: chat, responses"):
        resolved("openai/gpt-5", api="respones")
    with pytest.raises(ConfigurationError, match="has no api 'responses'; to choose from: "):
        resolved("mistral/any", api="responses")


def test_a_fallback_may_speak_another_format() -> None:
    first = LLMConfig(model="openai/gpt-5", api_key="sk-CANARY-4242")
    second = LLMConfig(model="openai/gpt-5", api="responses", api_key="sk-CANARY-4242")
    chain, _ = resolve.chain(first, (second,), skip_unconfigured=False)
    assert [link.target.format for link in chain] == ["openai_chat", "openai_responses"]


@each(
    ("base", "version", "whole"),
    [
        ("https://a.example/openai", "/openai/v1", "https://a.example/openai/v1"),
        ("https://a.example/openai/", "/openai/v1", "https://a.example/openai/v1"),
        ("https://a.example/api/paas", "/api/paas/v4", "https://a.example/api/paas/v4"),
        ("https://a.example/api", "/api/paas/v4", "https://a.example/api/paas/v4"),
        ("https://a.example/myopenai", "/openai/v1", "https://a.example/myopenai/openai/v1"),
        ("https://a.example/openai/v1", "/openai/v1", "https://a.example/openai/v1"),
        ("https://a.example", "/v1", "https://a.example/v1"),
    ],
)
def test_a_version_path_that_has_begun_is_completed(base: str, version: str, whole: str) -> None:
    assert base_url.normalise(base, source="a test", version=version) == whole
