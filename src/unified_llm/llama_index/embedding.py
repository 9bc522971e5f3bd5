"""``UnifiedEmbedding``: LlamaIndex's embeddings over a chain of targets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from inspect import unwrap
from typing import Any, ClassVar, Final, Self

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.utils import get_tqdm_iterable
from llama_index_instrumentation import get_dispatcher
from pydantic import Field, PrivateAttr, model_validator

from unified_llm._adapters.target_fields import TargetFields
from unified_llm._client.embedding_batches import Outcome, Parts, Space, Vector, parts
from unified_llm.exceptions import ConfigurationError, LLMError

# Enough to make the way to a provider not matter, and few enough to see some progress with a model at home.
_IN_ONE_REQUEST: Final = 96
# Batches of one list that are under way at a time, unless ``num_workers`` says otherwise.
_AT_ONCE: Final = 4

_dispatcher = get_dispatcher(__name__)


class UnifiedEmbedding(TargetFields, BaseEmbedding):
    """Embeddings with failover between places that offer the same model.

    Vectors of two models do not mix: an index built with both would be silently wrong. So a fallback is asked only if
    it has the same model name, or if both declare the same ``space``; and a vector of another length than those before
    it is an error.

    Example:
        .. code-block:: python

            Settings.embed_model = UnifiedEmbedding(
                model="openai/text-embedding-3-small",
                fallbacks=["azure/text-embedding-3-small"],
            )

    Args:
        model: ``provider/model``, or ``mlx/<folder>`` for a model in this process (alias ``model_name``).
        dimensions: The length of the vectors, where the model can choose.
        space: The name of the vector space, where the same model has different names in different places.
        embed_batch_size: How many texts go into one request (96, or fewer where a provider of the chain takes no
            more; alias ``batch_size``). A request that turns out to be too large is halved.
        num_workers: How many requests of one list are under way at a time in async (4).

    The other arguments are those of ``TargetFields`` and of LlamaIndex's own embeddings. Each request has its own retries and
    failover. Where one fails for good, no further one is begun, and the vectors that were finished are kept, so that
    embedding the same list again asks only for the others. ``rate_limiter`` is asked once for each batch, not for each
    attempt.

    Raises:
        ConfigurationError: A setting is wrong. Nothing has been sent.
    """

    dimensions: int | None = Field(default=None, gt=0)
    space: str | None = None
    embed_batch_size: int = Field(default=_IN_ONE_REQUEST, gt=0, le=2048)
    num_workers: int | None = Field(default=None, gt=0)

    ALIASES: ClassVar[Mapping[str, str]] = {
        **TargetFields.ALIASES,
        "batch_size": "embed_batch_size",
        "chunk_size": "embed_batch_size",
    }
    MADE_FROM: ClassVar[frozenset[str]] = TargetFields.MADE_FROM | {"dimensions"}
    SHARED: ClassVar[tuple[str, ...]] = (*TargetFields.SHARED, "callback_manager", "rate_limiter", "embeddings_cache")

    _space: Space = PrivateAttr(default_factory=Space)
    _kept: dict[str, Vector] = PrivateAttr(default_factory=dict[str, Vector])

    @model_validator(mode="after")
    def _begin(self) -> Self:
        if self.model is None:
            raise ConfigurationError('UnifiedEmbedding needs a model: write "provider/model".')
        self._changed()
        return self

    def _changed(self) -> None:
        """Another model has other vectors: nothing of what was learned holds."""
        vars(self)["model_name"] = self.model
        self._space, self._kept = Space(self.dimensions), {}

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls this class in dumps."""
        return "unified_embedding"

    # One text

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._only(self.client.embed([query], **self._options("query")).vectors)

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return self._only((await self.client.aembed([query], **self._options("query"))).vectors)

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._only(self.client.embed([text], **self._options("document")).vectors)

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return self._only((await self.client.aembed([text], **self._options("document"))).vectors)

    def _only(self, vectors: list[Vector]) -> Vector:
        self._space.check(vectors)
        return vectors[0]

    def _options(self, purpose: str) -> dict[str, Any]:
        return {"purpose": purpose} | ({"dimensions": self.dimensions} if self.dimensions else {})

    # One batch

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        asking = self._parts(texts)
        try:
            part = next(asking)
            while True:
                part = asking.send(self._ask(part))
        except StopIteration as end:
            vectors: list[Embedding] = end.value
            return vectors

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        asking = self._parts(texts)
        try:
            part = next(asking)
            while True:
                part = asking.send(await self._aask(part))
        except StopIteration as end:
            vectors: list[Embedding] = end.value
            return vectors

    def _parts(self, texts: list[str]) -> Parts:
        most = min(target.embeds_at_once for target in self.client.targets)
        return parts(texts, self._kept, self._space, most)

    def _ask(self, texts: Sequence[str]) -> Outcome:
        try:
            return self.client.embed(texts, **self._options("document"))
        except LLMError as error:
            return error

    async def _aask(self, texts: Sequence[str]) -> Outcome:
        try:
            return await self.client.aembed(texts, **self._options("document"))
        except LLMError as error:
            return error

    # Many batches

    def get_text_embedding_batch(
        self,
        texts: list[str],
        show_progress: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> list[Embedding]:
        """Vectors of texts, in their order.

        Args:
            texts: Any number; none asks nobody.
            show_progress: Show a bar.
            **kwargs: Not used.

        Raises:
            LLMError: A batch could not be had; what was finished is kept for the next call.
        """
        # LlamaIndex's own, without the span around it, since it has put one around this.
        own = unwrap(BaseEmbedding.get_text_embedding_batch)
        vectors: list[Embedding] = own(self, texts, show_progress, **kwargs)
        self._kept.clear()
        return vectors

    async def aget_text_embedding_batch(
        self,
        texts: list[str],
        show_progress: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,  # noqa: ARG002
    ) -> list[Embedding]:
        """As ``get_text_embedding_batch``, several batches at a time.

        LlamaIndex's own would begin all at once, and leave them running when one of them has failed.
        """
        size, gate = self.embed_batch_size, asyncio.Semaphore(self.num_workers or _AT_ONCE)
        cut = [texts[start : start + size] for start in range(0, len(texts), size)]
        tasks = [asyncio.create_task(self._work(batch, gate)) for batch in cut]
        finished: asyncio.Queue[asyncio.Task[list[Embedding]]] = asyncio.Queue()
        for task in tasks:
            task.add_done_callback(finished.put_nowait)
        try:
            for _ in get_tqdm_iterable(tasks, show_progress, "Generating embeddings"):
                (await finished.get()).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._kept.clear()
        return [vector for task in tasks for vector in task.result()]

    async def _work(self, texts: list[str], gate: asyncio.Semaphore) -> list[Embedding]:
        """One batch of many, told to observers as LlamaIndex does."""
        async with gate:
            payload = self.to_payload()
            _dispatcher.event(EmbeddingStartEvent(model_dict=payload))
            with self.callback_manager.event(
                CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: payload}
            ) as event:
                vectors = await self._acached(texts)
                event.on_end(payload={EventPayload.CHUNKS: texts, EventPayload.EMBEDDINGS: vectors})
            _dispatcher.event(EmbeddingEndEvent(chunks=texts, embeddings=vectors))
            return vectors

    async def _acached(self, texts: list[str]) -> list[Embedding]:
        if self.rate_limiter is not None:
            await self.rate_limiter.async_acquire()
        if self.embeddings_cache:
            return await self._aget_text_embeddings_cached(texts)
        return await self._aget_text_embeddings(texts)

    # Copies

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the settings, without keys and without vectors."""
        state = super().__getstate__()
        state["__pydantic_private__"] |= {"_space": Space(self.dimensions), "_kept": {}}
        return state
