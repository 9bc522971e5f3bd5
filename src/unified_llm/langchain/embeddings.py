"""``UnifiedEmbeddings``: LangChain's embeddings over a chain of targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, Unpack

from langchain_core.embeddings import Embeddings
from pydantic import Field, model_validator

from unified_llm._adapters.links import is_object
from unified_llm._adapters.target_fields import TargetFields
from unified_llm._client.queued_calls import queued_if
from unified_llm._client.read_texts import list_of_texts, one_text
from unified_llm._client.vector_space import check_fallbacks
from unified_llm._config.llm_config import LLMConfig
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain._base import LangChainFields
from unified_llm.langchain._errors import translate_errors

if TYPE_CHECKING:
    from unified_llm._client.client import LLMClient
    from unified_llm._config.model_name import ModelName
    from unified_llm.langchain._keywords import EmbeddingFallbacks, UnifiedEmbeddingsKeywords

# OpenAI takes at most 2048 texts in a request, others fewer; most local servers work best with some hundreds.
_DEFAULT_BATCH_SIZE = 512


def _documents(texts: Hidden[list[str]]) -> Hidden[Sequence[str]]:
    with translate_errors(), CLEAR_VARIABLES:
        return Hidden(list_of_texts(texts.value, "embed_documents", "embed_query"))


def _query(text: Hidden[str]) -> Hidden[list[str]]:
    with translate_errors(), CLEAR_VARIABLES:
        return Hidden([one_text(text.value, "embed_query", "embed_documents")])


class UnifiedEmbeddings(LangChainFields, TargetFields, Embeddings):
    """Embeddings with failover between providers of the same model.

    Vectors of two models do not mix: an index built with both would be silently wrong. So a fallback must
    have the same model name, or declare the same ``space`` as the primary.

    Example:
        .. code-block:: python

            embeddings = UnifiedEmbeddings(
                model="openai/text-embedding-3-small",
                fallbacks=["azure/text-embedding-3-small"],
            )
            vector = embeddings.embed_query("What is failover?")

    Args:
        dimensions: The length of the vectors, where the model supports several.
        batch_size: The most texts in one request (512, or fewer where a provider of the chain takes no more). A list
            that is refused is sent in parts, and no text is requested twice.
        space: The name of the vector space, where providers have different names for the same model.

    The other arguments are in docs/parameters.md.

    Raises:
        ConfigurationError: A setting is wrong. Nothing has been sent.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            model: ModelName | None = None,
            *,
            fallbacks: EmbeddingFallbacks | None = (),
            **fields: Unpack[UnifiedEmbeddingsKeywords],
        ) -> None: ...

    dimensions: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=_DEFAULT_BATCH_SIZE, gt=0)
    space: str | None = None

    @model_validator(mode="after")
    def _refuse_chat_models(self) -> Self:
        if any(not isinstance(fallback, (str, LLMConfig)) for fallback in self.fallbacks):
            raise ConfigurationError("A chat model cannot be a fallback for embeddings: use a model string.")
        if is_object(self.model):
            raise ConfigurationError("A chat model makes no embeddings: model must be a string.")
        return self

    def _make_client(self) -> LLMClient:
        client = super()._make_client()
        check_fallbacks(client.targets)
        return client

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of documents, in the order of the texts."""
        given = _documents(Hidden(texts))
        del texts
        if not given.value:
            return []
        with translate_errors():
            options = self._request_options("document")
            with queued_if(several=len(given.value) > self.batch_size):
                return self.client.embed(given.value, batch_size=self.batch_size, **options).vectors

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of documents, as ``embed_documents`` does."""
        given = _documents(Hidden(texts))
        del texts
        if not given.value:
            return []
        with translate_errors():
            options = self._request_options("document")
            with queued_if(several=len(given.value) > self.batch_size):
                return (await self.client.aembed(given.value, batch_size=self.batch_size, **options)).vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        given = _query(Hidden(text))
        del text
        with translate_errors():
            return self.client.embed(given.value, **self._request_options("query")).vectors[0]

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of a query, as ``embed_query`` does."""
        given = _query(Hidden(text))
        del text
        with translate_errors():
            return (await self.client.aembed(given.value, **self._request_options("query"))).vectors[0]

    def _request_options(self, purpose: str) -> dict[str, Any]:
        return {"purpose": purpose}


UnifiedEmbeddings.__module__ = "unified_llm.langchain"  # the public module, which reprs, pickles and documentation name
