"""Requests and options from the arguments of the client's methods, prepared for their calls."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any

from unified_llm._client import field_names, read_request
from unified_llm._client.call import PreparedCall
from unified_llm._client.call_options import CallOptions
from unified_llm._client.embedding_batches import Batches, Embedding, FinishedVectors, Part
from unified_llm._client.media import MediaClient
from unified_llm._core import runtime
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._providers.api_fields import fields_of
from unified_llm.types.requests import CountRequest, EmbeddingRequest, LLMRequest


class ArgumentsClient(MediaClient):
    """A client that reads the arguments of its methods."""

    def _chat(self, given: Hidden[tuple[Any, Any]], *, stream: bool) -> tuple[LLMRequest, CallOptions]:
        with CLEAR_VARIABLES:
            given = Hidden(read_request.with_options(*given.value))
            options = self._options.of_call(given.value[1], chat=True)
            request = read_request.chat(*given.value, stream=stream, api_fields=partial(self._api_fields, options))
            return request, options.with_timeout(request.timeout_override)

    def _api_fields(self, options: CallOptions, model: str | None) -> Collection[str]:
        return fields_of(self._chain_of(model, options).targets[0])

    def _embedding(
        self, given: Hidden[tuple[Any, Any]], batch_size: int | None, finished: FinishedVectors | None
    ) -> tuple[Batches, Callable[[Part], PreparedCall]]:
        """Return the requests for texts, and what prepares each, under one deadline."""
        request, options = self._embedding_request(given)
        read_request.check_whole_number("batch_size", batch_size, 1)
        return self._embedding_of(request, options, batch_size, finished)

    def _embedding_request(self, given: Hidden[tuple[Any, Any]]) -> tuple[EmbeddingRequest, CallOptions]:
        with CLEAR_VARIABLES:
            field_names.rename(given.value[1])
            options = self._options.of_call(given.value[1], chat=False)
            return read_request.embedding(*given.value), options

    def _embedding_of(
        self,
        request: EmbeddingRequest,
        options: CallOptions,
        batch_size: int | None = None,
        finished: FinishedVectors | None = None,
    ) -> tuple[Batches, Callable[[Part], PreparedCall]]:
        """Return the same for a request that was read."""
        chain = self._chain_of(request.model, options)
        targets = chain.targets
        max_texts = min(target.embeds_at_once for target in targets)
        max_texts = max_texts if batch_size is None else min(max_texts, batch_size)
        if request.dimensions is None:
            request = replace(request, dimensions=targets[0].defaults.get("dimensions"))
        space = self._vector_space(request, targets)
        until = None if options.deadline is None else runtime.current().now() + options.deadline
        finished = finished or FinishedVectors()
        embedding = Embedding(request, max_texts, space, finished, chain=targets, deadline=options.deadline)
        later = options.without_target_changes()  # which the targets of a part have already
        calls: list[PreparedCall] = []  # the last one: its deadline has moved while it waited in a queue

        def prepare(part: Part) -> PreparedCall:
            left = calls[0].state.deadline if calls and until is not None else until
            if part.chain is None:
                kept = replace(chain, targets=space.without_dropped(targets))
                calls[:] = [self._prepare(part.request, kept, options, left)]
            else:
                calls[:] = [self._prepare(part.request, replace(chain, targets=part.chain), later, left)]
            return calls[0]

        return embedding.batches(), prepare

    def _ranking(self, given: Hidden[tuple[str, Any, Any]]) -> PreparedCall:
        with CLEAR_VARIABLES:
            field_names.rename(given.value[2])
            options = self._options.of_call(given.value[2], chat=False)
            request = read_request.ranking(*given.value)
        return self._prepare(request, self._chain_of(request.model, options), options)

    def _counting(self, given: Hidden[tuple[Any, Any]]) -> PreparedCall:
        with CLEAR_VARIABLES:
            given = Hidden(read_request.with_options(*given.value))
            options = self._options.of_call(given.value[1], chat=False)
            chat = read_request.chat(*given.value, api_fields=partial(self._api_fields, options))
            request, options = CountRequest(chat), options.with_timeout(chat.timeout_override)
        return self._prepare(request, self._chain_of(request.chat.model, options), options)
