"""The parts of LangChain's standard suites that send nothing; the others are in the integration tests."""

from __future__ import annotations

from typing import Any, ClassVar

from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests

from unified_llm.langchain import ChatUnified, UnifiedEmbeddings


class TestChatUnified(ChatModelUnitTests):
    chat_model_class = ChatUnified
    chat_model_params: ClassVar[dict[str, Any]] = {
        "model": "openai/gpt-5-mini",
        "api_key": "sk-canary",
        "fallbacks": ["ollama/llama2", "mlx/demo"],
    }
    model_override_value = "gpt-5"
    init_from_env_params = (
        {"OPENAI_API_KEY": "sk-canary"},
        {"model": "openai/gpt-5-mini"},
        {"model": "openai/gpt-5-mini"},
    )


class TestUnifiedEmbeddings(EmbeddingsUnitTests):
    embeddings_class = UnifiedEmbeddings
    embedding_model_params: ClassVar[dict[str, Any]] = {
        "model": "openai/text-embedding-3-small",
        "api_key": "sk-canary",
    }
    init_from_env_params = (
        {"OPENAI_API_KEY": "sk-canary"},
        {"model": "openai/text-embedding-3-small"},
        {"model": "openai/text-embedding-3-small"},
    )
