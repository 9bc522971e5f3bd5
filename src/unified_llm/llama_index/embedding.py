"""``UnifiedEmbedding``: LlamaIndex's embeddings over a chain of targets."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import unwrap
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, Unpack

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.utils import get_tqdm_iterable
from llama_index_instrumentation import get_dispatcher
from pydantic import Field, PrivateAttr, model_validator

from unified_llm._adapters.target_fields import TargetFields
from unified_llm._client.embedding_batches import FinishedVectors
from unified_llm._client.queued_calls import queued_if
from unified_llm._client.read_texts import list_of_texts, one_text
from unified_llm._client.vector_space import check_fallbacks
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm.exceptions import ConfigurationError, LLMError
from unified_llm.llama_index._batches import queued_in_run_jobs

if TYPE_CHECKING:
    from unified_llm._client.client import LLMClient
    from unified_llm._config.model_name import ModelName
    from unified_llm.llama_index._keywords import Fallbacks, UnifiedEmbeddingKeywords

# Large enough for the round trip not to matter, small enough to show progress with a local model.
_BATCH_SIZE: Final = 96
# Concurrent batches of one list, if ``num_workers`` is not set.
_CONCURRENT_BATCHES: Final = 4

_dispatcher = get_dispatcher(__name__)

# The list whose batches are being embedded.
_whole_list: ContextVar[Hidden[list[str]] | None] = ContextVar("whole_list", default=None)


@contextmanager
def _in_list(texts: Hidden[list[str]]) -> Generator[None]:
    """Embed batches of this list in the block."""
    token = _whole_list.set(texts)
    try:
        yield
    finally:
        _whole_list.reset(token)


def _of_one_length(vectors: Sequence[Embedding]) -> bool:
    return len({len(vector) for vector in vectors}) <= 1


class UnifiedEmbedding(TargetFields, BaseEmbedding):
    """Embeddings with failover between providers of the same model.

    Vectors of two models must not be mixed: an index built with both would be silently wrong. So a fallback must
    have the same model name, or declare the same ``space`` as the primary; and vectors of two lengths never mix.

    Example:
        .. code-block:: python

            Settings.embed_model = UnifiedEmbedding(
                model="openai/text-embedding-3-small",
                fallbacks=["azure/text-embedding-3-small"],
            )

    Args:
        model: ``provider/model``, or ``mlx/<folder>`` for a model in this process (alias ``model_name``).
        dimensions: The length of the vectors, if the model supports several.
        space: The name of the vector space, if providers use different names for the same model.
        embed_batch_size: Texts in one request (96, or fewer if a provider of the chain accepts fewer; alias
            ``batch_size``). A list that is refused is sent in parts.
        num_workers: Concurrent requests for one list in async calls (4).

    The other arguments are in docs/parameters.md, with those of LlamaIndex's own embeddings. Each request has its own
    retries and failover. If one finally fails, no further request is started, and the finished vectors are kept, so
    that embedding the same list again requests only the missing ones. ``rate_limiter`` is acquired once for each batch,
    not for each attempt.

    Raises:
        ConfigurationError: A setting is wrong. No request has been sent.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            model: ModelName | None = None,
            *,
            fallbacks: Fallbacks | None = (),
            **fields: Unpack[UnifiedEmbeddingKeywords],
        ) -> None: ...

    dimensions: int | None = Field(default=None, gt=0)
    space: str | None = None
    embed_batch_size: int = Field(default=_BATCH_SIZE, gt=0, le=2048)
    num_workers: int | None = Field(default=None, gt=0)

    ALIASES: ClassVar[Mapping[str, str]] = {
        **TargetFields.ALIASES,
        "batch_size": "embed_batch_size",
        "chunk_size": "embed_batch_size",
    }
    SHARED: ClassVar[tuple[str, ...]] = (*TargetFields.SHARED, "callback_manager", "rate_limiter", "embeddings_cache")

    _finished: FinishedVectors = PrivateAttr(default_factory=FinishedVectors)

    @model_validator(mode="after")
    def _require_model(self) -> Self:
        if self.model is None:
            raise ConfigurationError('UnifiedEmbedding needs a model: write "provider/model".')
        self._changed()
        return self

    def _make_client(self) -> LLMClient:
        client = super()._make_client()
        check_fallbacks(client.targets)
        return client

    def _changed(self) -> None:
        """Forget the finished vectors: another model has other vectors."""
        vars(self)["model_name"] = self.model
        self._finished = FinishedVectors()

    @classmethod
    def class_name(cls) -> str:
        """Return the name of this class in LlamaIndex's dumps."""
        return "unified_embedding"

    # One text, whose vector is not kept

    def _get_query_embedding(self, query: str) -> Embedding:
        given = _one(Hidden(query), "get_query_embedding")
        del query
        return self.client.embed(given.value, **self._options("query")).vectors[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        given = _one(Hidden(query), "get_query_embedding")
        del query
        return (await self._aembed(given, "query"))[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        given = _one(Hidden(text), "get_text_embedding")
        del text
        return self.client.embed(given.value, **self._options("document")).vectors[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        given = _one(Hidden(text), "get_text_embedding")
        del text
        return (await self._aembed(given, "document"))[0]

    # One batch

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        given = Hidden(texts)
        del texts
        with self._errors_of_batch(given):
            return self.client.embed(given.value, **self._options("document", self._finished)).vectors

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        given = Hidden(texts)
        del texts
        with self._errors_of_batch(given):
            return await self._aembed(given, "document", self._finished)

    @contextmanager
    def _errors_of_batch(self, batch: Hidden[list[str]]) -> Generator[None]:
        """Let an error name positions in the list that the batch is from."""
        try:
            yield
        except LLMError as error:
            if (whole := _whole_list.get()) is not None:
                if error.position is not None:
                    error.position = whole.value.index(batch.value[error.position])
                known = self._finished.by_text
                error.partial = {number: known[text] for number, text in enumerate(whole.value) if text in known}
            raise

    async def _aembed(
        self, texts: Hidden[Any], purpose: str, finished: FinishedVectors | None = None
    ) -> list[Embedding]:
        with queued_in_run_jobs():
            return (await self.client.aembed(texts.value, **self._options(purpose, finished))).vectors

    def _options(self, purpose: str, finished: FinishedVectors | None = None) -> dict[str, Any]:
        return {"purpose": purpose, "finished": finished}

    # Many batches

    def get_text_embedding_batch(
        self,
        texts: list[str],
        show_progress: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> list[Embedding]:
        """Return the vectors of texts, in the same order.

        Args:
            texts: Any number; for an empty list no request is sent.
            show_progress: Show a progress bar.
            **kwargs: Not used.

        Raises:
            LLMError: A batch failed; the finished vectors are kept for the next call. ``.position`` is the index of the
                text that was refused by itself, ``.partial`` has the vectors so far.
        """
        # LlamaIndex's own method without its span, since LlamaIndex wraps this method in a span too.
        given = _checked(Hidden(texts))
        del texts
        embed_batches = unwrap(BaseEmbedding.get_text_embedding_batch)
        with _in_list(given), queued_if(several=len(given.value) > self.embed_batch_size):
            vectors: list[Embedding] = embed_batches(self, given.value, show_progress, **kwargs)
            while not _of_one_length(vectors):  # the primary's vectors are longer or shorter than a fallback's before
                vectors = embed_batches(self, given.value, **kwargs)
        self._finished.by_text.clear()
        return vectors

    async def aget_text_embedding_batch(
        self,
        texts: list[str],
        show_progress: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,  # noqa: ARG002
    ) -> list[Embedding]:
        """Return the vectors of texts, as ``get_text_embedding_batch``, with several concurrent batches.

        LlamaIndex's own method would start all of them at once, and leave them running after one has failed.
        """
        given = _checked(Hidden(texts))
        del texts
        with _in_list(given), queued_if(several=len(given.value) > self.embed_batch_size):
            vectors = await self._embed_batches(given, show_progress=show_progress)
            while not _of_one_length(vectors):
                vectors = await self._embed_batches(given, show_progress=False)
        self._finished.by_text.clear()
        return vectors

    async def _embed_batches(self, texts: Hidden[list[str]], *, show_progress: bool) -> list[Embedding]:
        size, semaphore = self.embed_batch_size, asyncio.Semaphore(self.num_workers or _CONCURRENT_BATCHES)
        batches = [Hidden(texts.value[start : start + size]) for start in range(0, len(texts.value), size)]
        tasks = [asyncio.create_task(self._embed_batch(batch, semaphore)) for batch in batches]
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
        return [vector for task in tasks for vector in task.result()]

    async def _embed_batch(self, texts: Hidden[list[str]], semaphore: asyncio.Semaphore) -> list[Embedding]:
        """Embed one of several batches, and report it to observers as LlamaIndex does."""
        async with semaphore:
            payload = self.to_payload()
            _dispatcher.event(EmbeddingStartEvent(model_dict=payload))
            with self.callback_manager.event(
                CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: payload}
            ) as event:
                vectors = await self._aembed_cached(texts)
                event.on_end(payload={EventPayload.CHUNKS: texts.value, EventPayload.EMBEDDINGS: vectors})
            _dispatcher.event(EmbeddingEndEvent(chunks=texts.value, embeddings=vectors))
            return vectors

    async def _aembed_cached(self, texts: Hidden[list[str]]) -> list[Embedding]:
        if self.rate_limiter is not None:
            await self.rate_limiter.async_acquire()
        if self.embeddings_cache:
            return await self._aget_text_embeddings_cached(texts.value)
        return await self._aget_text_embeddings(texts.value)

    # Copies

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the settings, without keys and without vectors."""
        state = super().__getstate__()
        state["__pydantic_private__"] |= {"_finished": FinishedVectors()}
        return state


def _one(text: Hidden[str], method: str) -> Hidden[list[str]]:
    with CLEAR_VARIABLES:
        return Hidden([one_text(text.value, method, "get_text_embedding_batch")])


def _checked(texts: Hidden[list[str]]) -> Hidden[list[str]]:
    with CLEAR_VARIABLES:
        list_of_texts(texts.value, "get_text_embedding_batch", "get_text_embedding")
    return texts


# The public name in reprs, tracebacks and pickles. Set here, not in the class: Pydantic looks up annotations in the
# module that defines the class.
UnifiedEmbedding.__module__ = "unified_llm.llama_index"
