"""``map`` and ``map_embed``: many prompts, with limited concurrency. The first run imports what a run needs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack

from unified_llm._client import embedding_batches
from unified_llm._client.call import finish_part
from unified_llm._client.call_arguments import ArgumentsClient
from unified_llm._client.keyword_tables import keywords_of_chat, keywords_of_embedding
from unified_llm._client.read_request import Prompt, check_whole_number
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._lib.signatures import show_keywords
from unified_llm.exceptions import ValidationError
from unified_llm.types.requests import EmbeddingRequest, LLMRequest
from unified_llm.types.responses import EmbeddingResponse, LLMResponse

if TYPE_CHECKING:
    from unified_llm._client.call_options import CallOptions
    from unified_llm._client.keywords import ChatKeywords, EmbedKeywords
    from unified_llm._client.map.async_run import AsyncMapRun
    from unified_llm._client.map.run import MapRun
    from unified_llm._client.map.work import ChatWork, EmbeddingWork
    from unified_llm._core.target import Target
    from unified_llm._lib.checkpoint import Checkpoint
    from unified_llm.types.map_results import MapTotals

Text: TypeAlias = str | Mapping[str, str]
OnError: TypeAlias = Literal["value", "raise"]
ShowProgress: TypeAlias = "bool | Callable[[MapTotals], object] | None"
CheckpointPath: TypeAlias = "str | os.PathLike[str] | Checkpoint | None"


class MapClient(ArgumentsClient):
    """A client that runs over many prompts."""

    @show_keywords(keywords_of_chat)
    def map(
        self,
        prompts: Iterable[Prompt],
        *,
        concurrency: int = 20,
        ordered: bool = True,
        progress: ShowProgress = None,
        checkpoint: CheckpointPath = None,
        on_error: OnError = "value",
        max_failed: int | None = None,
        **overrides: Unpack[ChatKeywords],
    ) -> MapRun[LLMResponse]:
        """Send many prompts, and return an iterator of their results.

        The prompts are read as they are needed, in the thread that iterates, so a generator, a file or a database
        cursor will do; memory does not grow with their number. A call waits for its turn where a target has ``rpm`` or
        ``tpm``, or answers 429; that wait is not counted in its deadline.

        Args:
            prompts: Anything iterable. A prompt is what ``generate`` takes; a mapping may have a ``custom_id``.
            concurrency: The most calls at once.
            ordered: Return results in the order of the prompts; with False, as they come.
            progress: None shows a bar where stderr is a terminal and rich or tqdm is installed; True shows one always,
                or lines; False none. A function is called with the ``MapTotals``.
            checkpoint: A file that keeps the responses: a run that was interrupted is started again with the same
                prompts, and requests only those that have no response yet. They are known by ``custom_id``, else by
                their position, and by what determines the response: model, messages, sampling, tools, schema.
            on_error: ``value``: a prompt that failed has its error in ``result.error``. ``raise``: the first one ends
                the run.
            max_failed: End the run when more prompts than that have failed, and raise the last error.
            **overrides: As for ``generate``; they go before what a prompt has itself.

        Raises:
            ValidationError: An argument is wrong. What is wrong with one prompt is the error of its result.
        """
        given = Hidden((prompts, overrides))
        del prompts, overrides
        from unified_llm._client.map.options import read_options
        from unified_llm._client.map.run import MapRun

        with CLEAR_VARIABLES:
            source = _check_many(given.value[0], "map", "generate", "prompt")
            options = read_options(
                given.value[0], concurrency=concurrency, ordered=ordered, progress=progress, checkpoint=checkpoint,
                on_error=on_error, max_failed=max_failed,
            )  # fmt: skip
            work = self._chat_work(Hidden(given.value[1]), of_sync=True)
            return MapRun(work, iter(source), options, close_loop=self._backends.end_loop)

    @show_keywords(keywords_of_chat)
    def amap(
        self,
        prompts: Iterable[Prompt] | AsyncIterable[Prompt],
        *,
        concurrency: int = 20,
        ordered: bool = True,
        progress: ShowProgress = None,
        checkpoint: CheckpointPath = None,
        on_error: OnError = "value",
        max_failed: int | None = None,
        **overrides: Unpack[ChatKeywords],
    ) -> AsyncMapRun[LLMResponse]:
        """Do the same as ``map``, for async callers; it is not awaited itself.

        Args:
            prompts: As for ``map``, or an async iterable, which is read while results are waited for.
            concurrency: As for ``map``, as are all further arguments.
            ordered: See ``map``.
            progress: See ``map``.
            checkpoint: See ``map``.
            on_error: See ``map``.
            max_failed: See ``map``.
            **overrides: See ``map``.
        """
        given = Hidden((prompts, overrides))
        del prompts, overrides
        from unified_llm._client.map.async_run import AsyncMapRun
        from unified_llm._client.map.options import read_options

        with CLEAR_VARIABLES:
            source = _check_many(given.value[0], "amap", "agenerate", "prompt", may_be_async=True)
            options = read_options(
                given.value[0], concurrency=concurrency, ordered=ordered, progress=progress, checkpoint=checkpoint,
                on_error=on_error, max_failed=max_failed,
            )  # fmt: skip
            return AsyncMapRun(self._chat_work(Hidden(given.value[1]), of_sync=False), source, options)

    @show_keywords(keywords_of_embedding)
    def map_embed(
        self,
        texts: Iterable[Text],
        *,
        concurrency: int = 20,
        batch_size: int | None = None,
        ordered: bool = True,
        progress: ShowProgress = None,
        checkpoint: CheckpointPath = None,
        on_error: OnError = "value",
        max_failed: int | None = None,
        **overrides: Unpack[EmbedKeywords],
    ) -> MapRun[EmbeddingResponse]:
        """Embed many texts, and return an iterator of their results: ``result.vector`` is that of one text.

        Args:
            texts: Anything iterable, of strings, or of mappings with ``text`` and ``custom_id``.
            concurrency: The most calls at once.
            batch_size: The most texts in one call, where that is less than every target accepts.
            ordered: As for ``map``, as are all further arguments.
            progress: See ``map``.
            checkpoint: See ``map``.
            on_error: See ``map``.
            max_failed: See ``map``; here texts.
            **overrides: As for ``embed``.

        Raises:
            ValidationError: An argument is wrong. What is wrong with one text is the error of its result.
        """
        given = Hidden((texts, overrides))
        del texts, overrides
        from unified_llm._client.map.options import read_options
        from unified_llm._client.map.run import MapRun

        with CLEAR_VARIABLES:
            source = _check_many(given.value[0], "map_embed", "embed", "text")
            options = read_options(
                given.value[0], concurrency=concurrency, ordered=ordered, progress=progress, checkpoint=checkpoint,
                on_error=on_error, max_failed=max_failed,
            )  # fmt: skip
            work = self._embedding_work(Hidden(given.value[1]), batch_size, of_sync=True)
            return MapRun(work, iter(source), options, close_loop=self._backends.end_loop, method="map_embed")

    @show_keywords(keywords_of_embedding)
    def amap_embed(
        self,
        texts: Iterable[Text] | AsyncIterable[Text],
        *,
        concurrency: int = 20,
        batch_size: int | None = None,
        ordered: bool = True,
        progress: ShowProgress = None,
        checkpoint: CheckpointPath = None,
        on_error: OnError = "value",
        max_failed: int | None = None,
        **overrides: Unpack[EmbedKeywords],
    ) -> AsyncMapRun[EmbeddingResponse]:
        """Do the same as ``map_embed``, for async callers; it is not awaited itself.

        Args:
            texts: As for ``map_embed``, or an async iterable.
            concurrency: As for ``map_embed``, as are all further arguments.
            batch_size: See ``map_embed``.
            ordered: See ``map``.
            progress: See ``map``.
            checkpoint: See ``map``.
            on_error: See ``map``.
            max_failed: See ``map``.
            **overrides: See ``map_embed``.
        """
        given = Hidden((texts, overrides))
        del texts, overrides
        from unified_llm._client.map.async_run import AsyncMapRun
        from unified_llm._client.map.options import read_options

        with CLEAR_VARIABLES:
            source = _check_many(given.value[0], "amap_embed", "aembed", "text", may_be_async=True)
            options = read_options(
                given.value[0], concurrency=concurrency, ordered=ordered, progress=progress, checkpoint=checkpoint,
                on_error=on_error, max_failed=max_failed,
            )  # fmt: skip
            work = self._embedding_work(Hidden(given.value[1]), batch_size, of_sync=False)
            return AsyncMapRun(work, source, options, method="map_embed")

    def _chat_work(self, overrides: Hidden[Any], *, of_sync: bool) -> ChatWork:
        """Return what reads and sends prompts; refuse overrides that are wrong for all of them."""
        from unified_llm._client.map.work import ChatWork

        def read(prompt: Any) -> tuple[LLMRequest, CallOptions]:
            return self._chat(Hidden((prompt, overrides.value)), stream=False)

        async def send(request: LLMRequest, options: CallOptions) -> LLMResponse:
            call = self._prepare(request, self._chain_of(request.model, options), options)
            response: LLMResponse = await self._arun(call, of_sync=of_sync)
            return response

        read("x")
        return ChatWork(read, send, self._first_target)

    def _embedding_work(self, overrides: Hidden[Any], batch_size: int | None, *, of_sync: bool) -> EmbeddingWork:
        """Return the same for texts."""
        from unified_llm._client.map.work import EmbeddingWork

        def read(text: Any) -> tuple[EmbeddingRequest, CallOptions]:
            return self._embedding_request(Hidden((text, dict(overrides.value))))

        async def send(request: EmbeddingRequest, options: CallOptions) -> EmbeddingResponse:
            batches, prepare = self._embedding_of(request, options)
            return await embedding_batches.arun(
                batches, lambda part: self._arun(prepare(part), finish_part, of_sync=of_sync)
            )

        check_whole_number("batch_size", batch_size, 1)
        request, options = read("x")
        most = min(target.embeds_at_once for target in self.targets_of_call(request.model, options))
        return EmbeddingWork(read, send, self._first_target, size=most if batch_size is None else min(most, batch_size))

    def _first_target(self, request: LLMRequest | EmbeddingRequest, options: CallOptions) -> Target:
        return self.targets_of_call(request.model, options)[0]


def _check_many(given: Any, method: str, method_of_one: str, noun: str, *, may_be_async: bool = False) -> Any:
    """Return what a run reads.

    Raises:
        ValidationError: It is one prompt alone, or nothing to iterate over.
    """
    if isinstance(given, (str, bytes, Mapping, LLMRequest)):
        raise ValidationError(
            f"{method}() takes many {noun}s; got one: write [{noun}], or call {method_of_one}({noun})."
        )
    if isinstance(given, AsyncIterable) and not may_be_async:
        raise ValidationError(f"{method}() takes no async iterable: call a{method}() in async code.")
    if not isinstance(given, (Iterable, AsyncIterable)):
        raise ValidationError(f"{method}() takes an iterable of {noun}s; got {type(given).__name__}.")
    return given
