"""``UnifiedEmbeddings``: LangChain's embeddings over a chain of targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

from langchain_core.embeddings import Embeddings
from pydantic import Field, model_validator

from unified_llm._adapters.target_fields import TargetFields
from unified_llm._config.llm_config import LLMConfig
from unified_llm.exceptions import ConfigurationError, GenerationError
from unified_llm.langchain._base import LangChainFields
from unified_llm.langchain._errors import translated

# OpenAI takes at most 2048 texts in a request, others fewer; most servers at home work best with some hundreds.
_BATCH = 512


class UnifiedEmbeddings(LangChainFields, TargetFields, Embeddings):
    """Embeddings with failover between places that offer the same model.

    Vectors of two models do not mix: an index built with both would be silently wrong. So a fallback is asked only if
    it has the same model name, or if both declare the same ``space``.

    Example:
        .. code-block:: python

            embeddings = UnifiedEmbeddings(
                model="openai/text-embedding-3-small",
                fallbacks=["azure/text-embedding-3-small"],
            )
            vector = embeddings.embed_query("What is failover?")

    Args:
        dimensions: The length of the vectors, where the model can choose.
        batch_size: How many texts go into one request (512, or fewer where a provider of the chain takes no more).
        space: The name of the vector space, where the same model has different names in different places.

    The other arguments are those of ``TargetFields``.

    Raises:
        ConfigurationError: A setting is wrong. Nothing has been sent.
    """

    dimensions: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=_BATCH, gt=0)
    space: str | None = None

    @model_validator(mode="after")
    def _refuse_chat_models(self) -> Self:
        if any(not isinstance(link, (str, LLMConfig)) for link in self.fallbacks):
            raise ConfigurationError("A chat model cannot stand in for embeddings: give fallbacks as model strings.")
        return self

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents, in the order of the texts."""
        vectors: list[list[float]] = []
        with translated():
            for batch in self._batches(texts):
                _extend(vectors, self.client.embed(batch, **self._options("document")).vectors)
        return vectors

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As ``embed_documents``."""
        vectors: list[list[float]] = []
        with translated():
            for batch in self._batches(texts):
                _extend(vectors, (await self.client.aembed(batch, **self._options("document"))).vectors)
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        with translated():
            return self.client.embed([text], **self._options("query")).vectors[0]

    async def aembed_query(self, text: str) -> list[float]:
        """As ``embed_query``."""
        with translated():
            return (await self.client.aembed([text], **self._options("query"))).vectors[0]

    def _batches(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        size = min(self.batch_size, *(target.embeds_at_once for target in self.client.targets))
        for start in range(0, len(texts), size):
            yield texts[start : start + size]

    def _options(self, purpose: str) -> dict[str, Any]:
        return {"purpose": purpose} | ({"dimensions": self.dimensions} if self.dimensions else {})


def _extend(vectors: list[list[float]], more: list[list[float]]) -> None:
    """Add a batch; another length than before means another model.

    Raises:
        GenerationError: The length differs.
    """
    if vectors and more and len(vectors[0]) != len(more[0]):
        raise GenerationError("Vectors of different lengths came for one list of texts; none is returned.")
    vectors.extend(more)
