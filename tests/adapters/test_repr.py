"""The repr of what users make: the names of the targets, and no settings of a framework."""

from __future__ import annotations

from typing import Any

from tests.support.each import each
from unified_llm import LLMClient, LLMConfig
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank

MADE = (LLMClient, ChatUnified, UnifiedLLM, UnifiedRerank)
GPT, HAIKU = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5"
SMALL = "text-embedding-3-small"


@each("kind", MADE)
def test_a_chain_shows_its_targets(kind: Any) -> None:
    name = kind.__name__
    if kind not in {UnifiedEmbeddings, UnifiedEmbedding}:  # whose fallbacks have the same model
        chain = kind(GPT, fallbacks=[HAIKU, {"model": "ollama/llama3.2", "name": "local"}], timeout=5)
        assert repr(chain) == str(chain) == f"{name}({GPT} -> {HAIKU} -> local)"
    assert repr(kind(GPT)) == f"{name}({GPT})"
    assert repr(kind("gpt-4o", provider="openai")) == f"{name}(openai/gpt-4o)"
    regions = kind(GPT, api_key="sk-canary-1", fallbacks=[{"base_url": "https://eu.example"}])
    assert repr(regions) == f"{name}({GPT}@api.openai.com -> {GPT}@eu.example)"
    assert repr(kind("sk-of-somebody-1234567890", provider="openai")) == f"{name}(***)"


@each("kind", [UnifiedEmbeddings, UnifiedEmbedding])
def test_embeddings_show_their_targets(kind: Any) -> None:
    chain = kind(f"openai/{SMALL}", fallbacks=[f"openrouter/openai/{SMALL}"])
    assert repr(chain) == str(chain) == f"{kind.__name__}(openai/{SMALL} -> openrouter/openai/{SMALL})"


def test_a_chain_whose_fields_are_being_changed_shows_them_as_they_are() -> None:
    chat = ChatUnified(model=GPT, fallbacks=[HAIKU, LLMConfig(model="groq/x", name="spare"), ChatUnified(model=GPT)])
    chat.provider = "azure"  # which needs a base_url
    assert repr(chat) == f"ChatUnified(azure/{GPT} -> {HAIKU} -> spare -> {GPT})"
    assert repr(ChatUnified.__new__(ChatUnified)) == "ChatUnified()"


def test_a_configuration_shows_what_was_set_the_model_first() -> None:
    config = LLMConfig(timeout=5, api_key="sk-canary-1", model=GPT)
    assert repr(config) == f"LLMConfig(model={GPT!r}, timeout=5.0)"
    assert repr(LLMConfig(model=GPT, max_retries=None)) == f"LLMConfig(model={GPT!r}, max_retries=None)"
