"""LangChain's standard suites for ``ChatUnified`` and ``UnifiedEmbeddings``, with every switch on.

The suites are the same in every configuration; a test module only sets the state of the primary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests

from integration_tests.support.upstream import KEY, Upstream
from unified_llm import LLMConfig
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

Detail = Literal["audio_input", "audio_output", "reasoning_output", "cache_read_input", "cache_creation_input"]
_DETAILS: list[Detail] = [
    "audio_input",
    "audio_output",
    "reasoning_output",
    "cache_read_input",
    "cache_creation_input",
]
# Where nothing is sent: a fixed address, since it ends up in the snapshot of the serialised model.
_NOWHERE = "http://127.0.0.1:9/v1"


class TwoTargets:
    """Two targets, the scripted upstreams, and the state of the first."""

    primary_status: ClassVar[int | None] = None
    _urls: tuple[str, str] = (_NOWHERE, _NOWHERE)

    @pytest.fixture(autouse=True)
    def _servers(self, upstream: Upstream, second: Upstream) -> Iterator[None]:
        upstream.status = self.primary_status
        self._urls = (upstream.base_url, second.base_url)
        yield
        if self.primary_status is None:
            assert second.requests == []
        else:
            # Every request was sent to the primary first and then served by the second target.
            assert bool(upstream.requests) == bool(second.requests)

    def _params(self, model: str, fallback: str) -> dict[str, Any]:
        second = LLMConfig(provider="openai-compatible", model=fallback, base_url=self._urls[1], api_key=KEY)
        return {"model": f"openai-compatible/{model}", "base_url": self._urls[0], "api_key": KEY, "fallbacks": [second]}


class ChatSwitches(TwoTargets):
    """Switches of the suite: this model supports everything."""

    chat_model_class = ChatUnified
    has_tool_calling = True
    has_tool_choice = True
    has_structured_output = True
    supports_json_mode = True
    supports_image_inputs = True
    supports_image_urls = True
    supports_pdf_inputs = True
    supports_audio_inputs = True
    supports_video_inputs = True
    supports_anthropic_inputs = True
    supports_image_tool_message = True
    supports_pdf_tool_message = True
    returns_usage_metadata = True
    supports_model_override = True
    enable_vcr_tests = True
    # A model named in a call replaces the primary's. The fallback has this model anyway, so the test gets a response
    # of it in either configuration.
    model_override_value = "scripted-small"
    supported_usage_metadata_details: ClassVar[dict[Literal["invoke", "stream"], list[Detail]]] = {
        "invoke": _DETAILS,
        "stream": _DETAILS,
    }
    init_from_env_params = (
        {"OPENAI_API_KEY": "sk-from-the-environment"},
        {"model": "openai/gpt-5-mini"},
        {"model": "openai/gpt-5-mini"},
    )

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return self._params("scripted-large", "scripted-small")

    def _call(self, *, stream: bool = False) -> AIMessage:
        model = ChatUnified(**self.chat_model_params)
        if not stream:
            return model.invoke("Hello")
        first, *rest = model.stream("Hello")
        return sum(rest, start=first)

    # The scripted upstream counts every kind of token in every response.
    invoke_with_audio_input = _call
    invoke_with_audio_output = _call
    invoke_with_reasoning_output = _call
    invoke_with_cache_read_input = _call
    invoke_with_cache_creation_input = _call


class ChatUnit(ChatSwitches, ChatModelUnitTests):
    """Ten tests that send nothing."""

    @pytest.fixture(autouse=True)
    def _servers(self) -> None:
        """Start no servers."""


class Chat(ChatSwitches, ChatModelIntegrationTests):
    """Fifty tests against the scripted upstreams."""


class EmbeddingSwitches(TwoTargets):
    embeddings_class = UnifiedEmbeddings
    init_from_env_params = (
        {"OPENAI_API_KEY": "sk-from-the-environment"},
        {"model": "openai/text-embedding-3-small"},
        {"model": "openai/text-embedding-3-small"},
    )

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return self._params("scripted-embedding", "scripted-embedding")


class EmbeddingUnit(EmbeddingSwitches, EmbeddingsUnitTests):
    """Three tests that send nothing."""

    @pytest.fixture(autouse=True)
    def _servers(self) -> None:
        """Start no servers."""


class Embedding(EmbeddingSwitches, EmbeddingsIntegrationTests):
    """Five tests against the scripted upstreams."""
