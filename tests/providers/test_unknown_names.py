"""Model strings as other packages write them: the same service is accepted, any other gets what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain.chat_models import base as langchain_names

from tests.support.each import each
from unified_llm import LLMClient
from unified_llm._providers import other_names, registry
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

KEY = "sk-CANARY-0123456789"
FIELDS: dict[str, Any] = {"api_key": KEY, "base_url": "https://models.example"}
NOT_SUPPORTED = "is not supported"
ENDPOINT = "an OpenAI-compatible endpoint is 'openai-compatible/<model>' with base_url="

ACCEPTED = [
    ("azure_openai:gpt-4o", "azure/gpt-4o"),
    ("google_genai:gemini-2.5-flash", "gemini/gemini-2.5-flash"),
    ("google-genai:gemini-2.5-flash", "gemini/gemini-2.5-flash"),
    ("google-gla:gemini-2.5-flash", "gemini/gemini-2.5-flash"),
    ("mistralai:mistral-large-latest", "mistral/mistral-large-latest"),
    ("hosted_vllm/org/name", "vllm/org/name"),
    ("together_ai/org/name", "together/org/name"),
    ("fireworks_ai/accounts/x/models/y", "fireworks/accounts/x/models/y"),
    ("nvidia_nim/org/name", "nvidia/org/name"),
    ("lm_studio/org/name", "lmstudio/org/name"),
    ("ollama_chat/llama3.2", "ollama/llama3.2"),
    ("cohere_chat/command-r", "cohere/command-r"),
    ("litellm_proxy/gpt-4o", "litellm/gpt-4o"),
    ("openai_like/x", "openai-compatible/x"),
    ("custom_openai/x", "openai-compatible/x"),
    ("OpenAI_Compatible/x", "openai-compatible/x"),
]

MEANT = [
    # Models of organisations: where they run is not said
    ("meta-llama/Llama-3.1-8B", "did you mean 'hf/meta-llama/Llama-3.1-8B', 'openrouter/meta-llama/Llama-3.1-8B' or"),
    ("mistralai/Mistral-7B-v0.3", "'hf/mistralai/Mistral-7B-v0.3', 'openrouter/mistralai/Mistral-7B-v0.3'"),
    ("deepseek-ai/DeepSeek-V3", "'hf/deepseek-ai/DeepSeek-V3'"),
    ("Qwen/Qwen3-8B", "'together/Qwen/Qwen3-8B'"),
    ("google/gemma-3-27b-it", "'hf/google/gemma-3-27b-it'"),
    ("google/gemini-2.5-flash", "did you mean 'gemini/gemini-2.5-flash' or 'openrouter/google/gemini-2.5-flash'?"),
    ("x-ai/grok-4", "did you mean 'xai/grok-4' or 'openrouter/x-ai/grok-4'?"),
    ("moonshotai/kimi-k2", "did you mean 'moonshot/kimi-k2' or 'openrouter/moonshotai/kimi-k2'?"),
    ("mlx-community/Qwen3-4B-4bit", "'mlx/<folder of Qwen3-4B-4bit>'"),
    ("meta-llama/llama-3.1-8b-instruct:free", "did you mean 'openrouter/meta-llama/llama-3.1-8b-instruct:free'?"),
    ("foo/bar", "write \"provider/model\", by where the model runs: 'hf/foo/bar', 'openrouter/foo/bar' or"),
    # Ollama's tags
    ("qwen3:8b", "did you mean 'ollama/qwen3:8b'?"),
    ("llama3.2:3b-instruct-q4_K_M", "did you mean 'ollama/llama3.2:3b-instruct-q4_K_M'?"),
    ("mistral-nemo:12b", "did you mean 'ollama/mistral-nemo:12b'?"),
    ("deepseek-r1:7b", "did you mean 'ollama/deepseek-r1:7b'?"),
    ("gemma3n:e4b", "did you mean 'ollama/gemma3n:e4b'?"),
    ("mixtral:8x7b", "did you mean 'ollama/mixtral:8x7b'?"),
    ("phi4:latest", "did you mean 'ollama/phi4:latest'?"),
    ("gpt-oss:20b", "did you mean 'ollama/gpt-oss:20b'?"),
    ("someone/model:7b", "did you mean 'ollama/someone/model:7b'?"),
    ("hf.co/someone/model-GGUF:Q4_K_M", "did you mean 'ollama/hf.co/someone/model-GGUF:Q4_K_M'?"),
    ("mistral:7b", "'mistral:7b' has the tag of an Ollama model: did you mean 'ollama/mistral:7b'?"),
    # Names of makers, products and APIs
    ("claude/claude-haiku-4-5", "did you mean 'anthropic/claude-haiku-4-5'?"),
    ("google:gemini-2.5-flash", "did you mean 'gemini:gemini-2.5-flash'?"),
    ("grok/grok-4", "did you mean 'xai/grok-4'?"),
    ("kimi:kimi-k2", "did you mean 'moonshot:kimi-k2'?"),
    ("openai-responses:gpt-5", "did you mean 'openai:gpt-5'?"),
    ("llama.cpp/qwen3", "did you mean 'llamacpp/qwen3'?"),
    ("opanai/gpt-4o", "did you mean 'openai/gpt-4o'?"),
    # The forms that services have for their own models
    ("models/gemini-2.5-flash", "did you mean 'gemini/gemini-2.5-flash'?"),
    ("accounts/fireworks/models/llama", "did you mean 'fireworks/accounts/fireworks/models/llama'?"),
    ("ft:gpt-4o-mini:org::id", "did you mean 'openai/ft:gpt-4o-mini:org::id'?"),
    ("https://huggingface.co/org/name", "did you mean 'hf/org/name'?"),
    ("https://api.example.com/v1", 'an address belongs into base_url=, beside "openai-compatible/model"'),
    ("./models/qwen", "did you mean 'mlx/./models/qwen'?"),
    # Without a provider
    ("gpt-4o", "did you mean openai/gpt-4o?"),
    ("text-embedding-3-small", "did you mean openai/text-embedding-3-small?"),
    ("llama3.2", "did you mean ollama/llama3.2?"),
    ("qwen3", "did you mean ollama/qwen3?"),
    ("nomic-embed-text", "did you mean ollama/nomic-embed-text?"),
    ("openai", "did you mean openai/<model>?"),
    ("openai.gpt-4o", "did you mean openai/gpt-4o?"),
    ("openai gpt-4o", "did you mean openai/gpt-4o?"),
    # Blanks and quotes
    (" openai/gpt-4o ", "did you mean 'openai/gpt-4o'?"),
    ("openai/gpt-4o ", "did you mean 'openai/gpt-4o'?"),
    ('"openai/gpt-4o"', "did you mean 'openai/gpt-4o'?"),
    ("openai/ gpt-4o", "did you mean 'openai/gpt-4o'?"),
    ("openai: gpt-4o", "did you mean 'openai:gpt-4o'?"),
    ("openai /gpt-4o", "did you mean 'openai/gpt-4o'?"),
    # Bedrock and Vertex AI
    ("vertex_ai/gemini-2.5-flash", "did you mean 'vertex/google/gemini-2.5-flash'?"),
    ("google_vertexai:gemini-2.5-flash", "did you mean 'vertex/google/gemini-2.5-flash'?"),
    ("vertexai/google/gemini-2.5-pro", "did you mean 'vertex/google/gemini-2.5-pro'?"),
    ("publishers/google/models/gemini-2.5-pro", "did you mean 'vertex/google/gemini-2.5-pro'?"),
    ("projects/p/locations/us-east1/publishers/meta/models/llama-4", "did you mean 'vertex/meta/llama-4'?"),
    (
        "us.anthropic.claude-3-haiku-20240307-v1:0",
        "did you mean 'anthropic/claude-3-haiku-20240307' or 'bedrock/us.anthropic.claude-3-haiku-20240307-v1:0'?",
    ),
    ("amazon.nova-pro-v1:0", "did you mean 'bedrock/amazon.nova-pro-v1:0'?"),
    ("openai.gpt-oss-120b-1:0", "did you mean 'bedrock/openai.gpt-oss-120b-1:0'?"),
    ("aws_bedrock/openai.gpt-oss-120b-1:0", "did you mean 'bedrock/openai.gpt-oss-120b-1:0'?"),
    # Services that have no row
    (
        "bedrock_converse:anthropic.claude-3-haiku-20240307-v1:0",
        "Amazon Bedrock's Converse API is not supported. 'anthropic/claude-3-haiku-20240307' is the model at its maker",
    ),
    ("watsonx/ibm/granite", "IBM watsonx is not supported"),
    ("dashscope/qwen-max", "Alibaba Cloud Model Studio (DashScope) is not supported"),
    ("azure_ai/mistral", "Azure AI Foundry is not supported. Known providers are"),
    ("azure_ai/gpt-4o", "Azure AI Foundry is not supported"),
    ("@cf/meta/llama-3", "Cloudflare Workers AI is not supported"),
    ("databricks/dbrx", "Databricks is not supported"),
]
SURFACES: tuple[Callable[..., Any], ...] = (LLMClient, ChatUnified, UnifiedLLM, UnifiedEmbedding)


@each(("given", "name"), ACCEPTED)
def test_another_package_s_name_for_the_same_service_is_accepted(given: str, name: str) -> None:
    assert LLMClient(given, **FIELDS).targets[0].name == name
    provider, _, model = given.replace(":", "/").partition("/")
    assert LLMClient(model, provider=provider, **FIELDS).targets[0].name == name
    assert LLMClient("mlx/demo", fallbacks=[{"model": given, **FIELDS}]).targets[1].name == name


@each(("given", "expected"), MEANT)
def test_any_other_string_gets_what_to_write_instead(given: str, expected: str) -> None:
    for surface in SURFACES:
        with pytest.raises(ConfigurationError) as refused:
            surface(given, api_key=KEY)
        assert expected in str(refused.value)
        assert (NOT_SUPPORTED in expected) <= (ENDPOINT in str(refused.value))
    with pytest.raises(ConfigurationError) as refused:
        LLMClient("mlx/demo", fallbacks=[given])
    assert expected in str(refused.value)


def test_what_a_call_names_is_read_in_the_same_way() -> None:
    client = LLMClient("openai/gpt-4o", api_key=KEY)
    for given, expected in ((" gpt-4o", "did you mean 'gpt-4o'?"), ("mistral:7b", "did you mean 'ollama/mistral:7b'?")):
        with pytest.raises(ConfigurationError) as refused:
            client.generate("Hello", model=given)
        assert expected in str(refused.value)


@each(
    ("provider", "expected"),
    [
        ("bedrock_converse", "Amazon Bedrock's Converse API is not supported. Known providers are openai, "),
        ("vertex_ai", "did you mean 'vertex'?"),
        ("aws", "did you mean 'bedrock'?"),
        ("google", "did you mean 'gemini'?"),
        ("Claude", "did you mean 'anthropic'?"),
        (" openai", "did you mean 'openai'?"),
        ("zzz", "known are openai, azure"),
    ],
)
def test_a_provider_that_is_unknown_gets_the_same_advice(provider: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        LLMClient("x", provider=provider)
    assert expected in str(refused.value)


def test_every_name_that_init_chat_model_knows_is_a_provider_an_alias_or_explained() -> None:
    explained = {*other_names.MEANT, *other_names.NOT_SUPPORTED}
    names: list[str] = [name for name in langchain_names._BUILTIN_PROVIDERS if name != "unified"]  # of register()
    assert [name for name in names if registry.find(name) is None and other_names.key(name) not in explained] == []


def test_the_tables_agree_with_each_other() -> None:
    rows = {row.name for row in registry.ROWS}
    tables = [list(other_names.ALIASES), list(other_names.MEANT), list(other_names.NOT_SUPPORTED), [*rows]]
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names))
    assert [name for table in tables[:3] for name in table if other_names.key(name) != name] == []
    assert {*other_names.ALIASES.values(), *other_names.MEANT.values()} <= rows
    assert {provider for _, provider in other_names.FAMILIES} <= rows


@each("text", ["sk-CANARY-0123456789abcdef", "sk-CANARY-0123456789abcdef/x", "sk-CANARY-0123456789abcdef:7b",
               "openai sk-CANARY-0123456789abcdef", "CANARY0123456789abcdef0123456789/a/b"])  # fmt: skip
def test_a_key_in_the_place_of_a_model_is_not_repeated(text: str) -> None:
    assert "CANARY" not in registry.unknown_model(text)
