"""Requests that ``openai_style`` and ``batch`` have made: further endpoints, media, counts of tokens, batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from unified_llm._client.call import PreparedCall
from unified_llm._client.call_options import CallOptions
from unified_llm._client.models_client import ModelsClient
from unified_llm._config.call_targets import CallChain
from unified_llm.types.requests import CountRequest, EmbeddingRequest, FurtherRequest, LLMRequest

if TYPE_CHECKING:
    from unified_llm._client.batch_entries import WrittenEntry
    from unified_llm._client.media_stream import AsyncMediaStream, MediaStream
    from unified_llm._core.batch_service import BatchResult
    from unified_llm._core.codec import AnyRequest
    from unified_llm._core.target import Target


class EndpointsClient(ModelsClient):
    """A client that sends such requests as they are."""

    def run_request(self, request: FurtherRequest, options: CallOptions) -> Any:
        """Send a request, and return the response.

        Raises:
            UnsupportedOperationError: No target can serve it.
            LLMError: No target served it.
        """
        return self._run(self._prepare_further(request, options))

    async def arun_request(self, request: FurtherRequest, options: CallOptions) -> Any:
        """Do the same as ``run_request``, for async callers."""
        return await self._arun(self._prepare_further(request, options))

    def stream_request(self, request: FurtherRequest, options: CallOptions) -> MediaStream[Any, Any]:
        """Stream the response to a request, in which ``stream`` is set."""
        return self._stream(self._prepare_further(request, options))

    def astream_request(self, request: FurtherRequest, options: CallOptions) -> AsyncMediaStream[Any, Any]:
        """Do the same as ``stream_request``, for async callers."""
        return self._astream(self._prepare_further(request, options))

    def run_count(self, request: LLMRequest, options: CallOptions) -> int:
        """Count the tokens of a request, at the first target that can count."""
        call = self._prepare(CountRequest(request), self._chain_of(request.model, options), options)
        tokens: int = self._run(call)
        return tokens

    async def arun_count(self, request: LLMRequest, options: CallOptions) -> int:
        """Do the same as ``run_count``, for async callers."""
        call = self._prepare(CountRequest(request), self._chain_of(request.model, options), options)
        tokens: int = await self._arun(call)
        return tokens

    # Entries of batches: nothing is sent

    def write_entry(self, request: LLMRequest | EmbeddingRequest) -> WrittenEntry:
        """Write a request as an entry of a batch of the first target of its chain.

        Raises:
            LLMError: The target cannot serve it, or it cannot be written.
        """
        from unified_llm._client.batch_entries import write_entry

        return write_entry(self._prepare_entry(request))

    def read_entry(self, request: LLMRequest | EmbeddingRequest, result: BatchResult) -> Any:
        """Return the response that the result of such an entry is.

        Raises:
            LLMError: The entry was refused, or not answered.
        """
        from unified_llm._client.batch_entries import read_entry

        return read_entry(self._prepare_entry(request), result)

    def _prepare_entry(self, request: LLMRequest | EmbeddingRequest) -> PreparedCall:
        target = self._chain_of(request.model, self._options).targets[0]
        if isinstance(request, EmbeddingRequest) and request.dimensions is None:
            request = replace(request, dimensions=target.defaults.get("dimensions"))
        return self._prepare(request, CallChain((target,)), self._options)

    def _prepare_further(self, request: FurtherRequest, options: CallOptions) -> PreparedCall:
        chain = self._chain_of(getattr(request, "model", None), options)
        if getattr(request, "one_account", False):
            chain = CallChain(chain.targets[:1])
        if getattr(request, "sent_once", False):
            chain = CallChain(tuple(map(_asked_once, chain.targets)))
        return self._prepare(cast("AnyRequest", request), chain, options)

    # Streams of media are imported with the first of them: few programs have one.

    def _stream(self, call: PreparedCall) -> MediaStream[Any, Any]:
        from unified_llm._client.media_stream import MediaStream

        return MediaStream(self._driver(call), call)

    def _astream(self, call: PreparedCall) -> AsyncMediaStream[Any, Any]:
        from unified_llm._client.media_stream import AsyncMediaStream

        return AsyncMediaStream(self._adriver(call), call)


def _asked_once(target: Target) -> Target:
    """Return a target that gets a request once, whatever becomes of it."""
    return replace(target, resend=False, retry=replace(target.retry, limit=0))
