"""``LLMClient``: requests to a chain of targets, sync and async."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from unified_llm._client import embedding_batches, read_request
from unified_llm._client.call import finish_part
from unified_llm._client.call_options import DEADLINE, CallOptions, check_callback, check_flag, check_stream_break
from unified_llm._client.embedding_batches import FinishedVectors
from unified_llm._client.keyword_tables import (
    keywords_of_chat,
    keywords_of_embedding,
    keywords_of_ranking,
    keywords_of_target,
)
from unified_llm._client.map.client import MapClient
from unified_llm._client.stream import AsyncStream, Stream
from unified_llm._client.vector_space import check_fallbacks, is_embedding_model
from unified_llm._config.llm_config import LLMConfig, read_fallbacks
from unified_llm._config.model_objects import PrimaryObject, is_wrapped
from unified_llm._core.exchange import WrappedModel
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._core.outcome import FailureKind
from unified_llm._lib.signatures import show_keywords
from unified_llm.exceptions import ConfigurationError
from unified_llm.types.records import Attempt
from unified_llm.types.requests import EmbeddingRequest, LLMRequest
from unified_llm.types.responses import EmbeddingResponse, LLMResponse, RerankResponse

if TYPE_CHECKING:
    from unified_llm._client.keywords import ChatKeywords, EmbedKeywords, RerankKeywords
    from unified_llm._config.keywords import TargetKeywords
    from unified_llm._config.llm_config import Fallbacks
    from unified_llm._config.model_name import ModelName
    from unified_llm._lib.list_of import ListOf


class LLMClient(MapClient):
    """Sends requests to a chain of targets, in order, until one responds.

    One client may be used from many threads and event loops at once. Creating one is cheap: connections are made
    when they are needed.

    Args:
        config: A model string (``openai/gpt-5-mini``), an ``LLMConfig``, or a mapping of its fields.
        fallbacks: Further targets, in order, after those of the configuration.
        deadline: Seconds for a whole call, all attempts and waits included; None for no limit.
        hedge_after: For async chat: when so many seconds have brought no first chunk (or no whole response, without
            streaming), send the request to another target as well, and take the first response. In at most 5 % of
            calls; the other attempt may be billed.
        failover_on: What fails over, where that differs from the default: kinds of failure (``attempt.outcome``) mapped
            to True or False. ``{"filter": True}`` tries another target when a content filter blocked the prompt;
            ``{"rate_limit": False}`` raises what retries at the same target do not cure.
        on_stream_break: Only ``raise``: a stream that broke after its first chunk raises
            ``StreamInterruptedError``.
        skip_unconfigured: Leave out targets whose key or extra is missing, with one warning each, rather than refuse.
        on_attempt: Called after each attempt; what it raises is logged and ignored. To pickle the client it must be
            a function of a module, not a lambda.
        **fields: Fields of ``LLMConfig``, where ``config`` is a model string.

    Raises:
        ConfigurationError: Anything about a target is wrong. Nothing is sent before that is known.
    """

    @show_keywords(keywords_of_target)
    def __init__(
        self,
        config: ModelName | LLMConfig | Mapping[str, Any] | WrappedModel | None = None,
        *,
        fallbacks: Fallbacks | None = (),
        deadline: float | None = DEADLINE,
        hedge_after: float | None = None,
        failover_on: Mapping[FailureKind, bool] | None = None,
        on_stream_break: str = "raise",
        skip_unconfigured: bool = False,
        on_attempt: Callable[[Attempt], None] | None = None,
        **fields: Unpack[TargetKeywords],
    ) -> None:
        given = Hidden((config, fallbacks, fields))
        del config, fallbacks, fields
        with CLEAR_VARIABLES:
            options = CallOptions.of_client(deadline=deadline, hedge_after=hedge_after, failover_on=failover_on)
            check_stream_break(on_stream_break)
            check_callback(on_attempt)
            check_flag("skip_unconfigured", skip_unconfigured)
            targets = _read_targets(given)
            super().__init__(*targets.value, options, skip_unconfigured=skip_unconfigured, on_attempt=on_attempt)
            if is_embedding_model(self.targets[0]):  # other fallbacks may be for chat
                check_fallbacks([target for target in self.targets if is_embedding_model(target)])

    # Chat

    @show_keywords(keywords_of_chat)
    def generate(self, prompt: read_request.Prompt | None = None, **overrides: Unpack[ChatKeywords]) -> LLMResponse:
        """Send a chat request and return the whole response.

        Args:
            prompt: A string, a list of messages, an ``LLMRequest``, or a dict with ``messages`` and request fields;
                ``messages=[...]`` instead is the same.
            **overrides: Request fields for this call (``model``, ``temperature``, ``tools`` ...), ``timeout`` (seconds
                for an attempt), ``deadline`` (seconds for the call), ``hedge_after``, ``failover_on``.

        Raises:
            ValidationError: The request is wrong.
            LLMError: No target served the request; ``.attempts`` lists what was tried.
        """
        given = Hidden((prompt, overrides))
        del prompt, overrides
        return self.run(*self._chat(given, stream=False))

    @show_keywords(keywords_of_chat)
    async def agenerate(
        self, prompt: read_request.Prompt | None = None, **overrides: Unpack[ChatKeywords]
    ) -> LLMResponse:
        """Do the same as ``generate``, for async callers."""
        given = Hidden((prompt, overrides))
        del prompt, overrides
        return await self.arun(*self._chat(given, stream=False))

    @show_keywords(keywords_of_chat)
    def stream(self, prompt: read_request.Prompt | None = None, **overrides: Unpack[ChatKeywords]) -> Stream:
        """Stream the response in chunks; arguments as for ``generate``. Nothing is sent before the first is read."""
        given = Hidden((prompt, overrides))
        del prompt, overrides
        return self.open_stream(*self._chat(given, stream=True))

    @show_keywords(keywords_of_chat)
    def astream(self, prompt: read_request.Prompt | None = None, **overrides: Unpack[ChatKeywords]) -> AsyncStream:
        """Do the same as ``stream``, for async callers; it is not awaited itself."""
        given = Hidden((prompt, overrides))
        del prompt, overrides
        return self.aopen_stream(*self._chat(given, stream=True))

    @show_keywords(keywords_of_chat)
    def complete(self, prompt: str, **overrides: Unpack[ChatKeywords]) -> LLMResponse:
        """Answer a single prompt: ``generate`` without a conversation.

        With ``as_text=True`` the prompt is continued as it stands, without a chat template, by the text completion that
        base models have; a target that has none is skipped.
        """
        given = Hidden((prompt, overrides))
        del prompt, overrides
        return self.run(*self._chat(given, stream=False))

    @show_keywords(keywords_of_chat)
    async def acomplete(self, prompt: str, **overrides: Unpack[ChatKeywords]) -> LLMResponse:
        """Do the same as ``complete``, for async callers."""
        given = Hidden((prompt, overrides))
        del prompt, overrides
        return await self.arun(*self._chat(given, stream=False))

    # The same for adapters, which have checked the request and read the options

    def run(self, request: LLMRequest, options: CallOptions) -> LLMResponse:
        """Send a chat request as it is, and return the whole response."""
        response: LLMResponse = self._run(self._prepare(request, self._chain_of(request.model, options), options))
        return response

    async def arun(self, request: LLMRequest, options: CallOptions) -> LLMResponse:
        """Do the same as ``run``, for async callers."""
        response: LLMResponse = await self._arun(
            self._prepare(request, self._chain_of(request.model, options), options)
        )
        return response

    def open_stream(self, request: LLMRequest, options: CallOptions) -> Stream:
        """Stream the response to a chat request, in which ``stream`` is set."""
        call = self._prepare(request, self._chain_of(request.model, options), options)
        return Stream(self._driver(call), call)

    def aopen_stream(self, request: LLMRequest, options: CallOptions) -> AsyncStream:
        """Do the same as ``open_stream``, for async callers."""
        call = self._prepare(request, self._chain_of(request.model, options), options)
        return AsyncStream(self._adriver(call), call)

    def run_embedding(self, request: EmbeddingRequest, options: CallOptions) -> EmbeddingResponse:
        """Turn the texts of a request into vectors, as ``embed``."""
        batches, prepare = self._embedding_of(request, options)
        with CLEAR_VARIABLES:
            return embedding_batches.run(batches, lambda part: self._run(prepare(part), finish_part))

    async def arun_embedding(self, request: EmbeddingRequest, options: CallOptions) -> EmbeddingResponse:
        """Do the same as ``run_embedding``, for async callers."""
        batches, prepare = self._embedding_of(request, options)
        with CLEAR_VARIABLES:
            return await embedding_batches.arun(batches, lambda part: self._arun(prepare(part), finish_part))

    # Embeddings

    @show_keywords(keywords_of_embedding)
    def embed(
        self,
        texts: str | Sequence[str],
        *,
        batch_size: int | None = None,
        finished: FinishedVectors | None = None,
        **overrides: Unpack[EmbedKeywords],
    ) -> EmbeddingResponse:
        """Turn texts into vectors, in the same order, all of one length.

        Sends as many requests as the texts need: each has the most texts that every target of the chain accepts, and no
        text is requested twice. A list that a target refuses for its size, or for one of its texts, is sent to the same
        target in halves; texts that it refuses alone go to the next target. ``usage`` and ``attempts`` are those of all
        requests, model and provider those of the last one.

        Fails over only between targets of the same model, or of the same declared ``space``.

        Args:
            texts: One text or several.
            batch_size: The most texts in one request, where that is less than the targets accept.
            finished: For adapters: vectors that they keep from one call to the next.
            **overrides: ``model``, ``dimensions``, ``purpose`` (``query`` or ``document``), ``extra_body``,
                ``timeout``, ``deadline`` (seconds for all requests together), ``failover_on``.

        Raises:
            ValidationError: The arguments are wrong.
            LLMError: No target embedded a text. ``.position`` is its index in the list, where it was refused by
                itself; ``.partial`` maps indexes to the vectors so far.
        """
        given = Hidden((texts, overrides))
        del texts, overrides
        batches, prepare = self._embedding(given, batch_size, finished)
        with CLEAR_VARIABLES:
            return embedding_batches.run(batches, lambda part: self._run(prepare(part), finish_part))

    @show_keywords(keywords_of_embedding)
    async def aembed(
        self,
        texts: str | Sequence[str],
        *,
        batch_size: int | None = None,
        finished: FinishedVectors | None = None,
        **overrides: Unpack[EmbedKeywords],
    ) -> EmbeddingResponse:
        """Do the same as ``embed``, for async callers; one request after the other."""
        given = Hidden((texts, overrides))
        del texts, overrides
        batches, prepare = self._embedding(given, batch_size, finished)
        with CLEAR_VARIABLES:
            return await embedding_batches.arun(batches, lambda part: self._arun(prepare(part), finish_part))

    # Rankings and counts

    @show_keywords(keywords_of_ranking)
    def rerank(self, query: str, documents: ListOf[str], **overrides: Unpack[RerankKeywords]) -> RerankResponse:
        """Order documents by how relevant they are to a query, the best first.

        Fails over between any models: scores are compared within one response only.

        Args:
            query: The question or search text.
            documents: At least one text.
            **overrides: ``top_n`` (how many of the best), ``model``, ``extra_body``, ``timeout``, ``deadline``,
                ``failover_on``.
        """
        given = Hidden((query, documents, overrides))
        del query, documents, overrides
        response: RerankResponse = self._run(self._ranking(given))
        return response

    @show_keywords(keywords_of_ranking)
    async def arerank(self, query: str, documents: ListOf[str], **overrides: Unpack[RerankKeywords]) -> RerankResponse:
        """Do the same as ``rerank``, for async callers."""
        given = Hidden((query, documents, overrides))
        del query, documents, overrides
        response: RerankResponse = await self._arun(self._ranking(given))
        return response

    @show_keywords(keywords_of_chat)
    def count_tokens(self, prompt: read_request.Prompt, **overrides: Unpack[ChatKeywords]) -> int:
        """Count the tokens that a chat request would send, at the first target that can count.

        Args:
            prompt: As for ``generate``.
            **overrides: Request fields (tools count as well), ``timeout``, ``deadline``, ``failover_on``.

        Raises:
            UnsupportedOperationError: No target has an endpoint that counts.
        """
        given = Hidden((prompt, overrides))
        del prompt, overrides
        count: int = self._run(self._counting(given))
        return count

    @show_keywords(keywords_of_chat)
    async def acount_tokens(self, prompt: read_request.Prompt, **overrides: Unpack[ChatKeywords]) -> int:
        """Do the same as ``count_tokens``, for async callers."""
        given = Hidden((prompt, overrides))
        del prompt, overrides
        count: int = await self._arun(self._counting(given))
        return count


def _read_targets(
    given: Hidden[tuple[Any, Any, Any]],
) -> Hidden[tuple[LLMConfig | PrimaryObject, tuple[Any, ...]]]:
    """Read the targets from the arguments of a client: configuration, fallbacks, fields."""
    config, fallbacks, fields = given.value
    if (named := fields.pop("fallback_configs", None)) is not None:
        if fallbacks:
            raise ConfigurationError("fallbacks is given twice, by two names: leave one out.")
        fallbacks = named
    first = PrimaryObject.read(config, fields) if is_wrapped(config) else LLMConfig.read(config, fields)
    if fallbacks == [] and isinstance(first, LLMConfig) and not first.fallbacks:  # those of a profile are not wanted
        first = first.model_copy(update={"fallbacks": ()})
    return Hidden((first, read_fallbacks(fallbacks)))


LLMClient.__module__ = "unified_llm"  # where users import it from: in reprs, pickles and documentation
