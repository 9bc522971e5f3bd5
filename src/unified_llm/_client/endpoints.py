"""Further endpoints of OpenAI's API, for ``unified_llm.openai_style``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unified_llm._client.call import PreparedCall
from unified_llm._client.call_options import CallOptions
from unified_llm._client.models_client import ModelsClient
from unified_llm._config.call_targets import CallChain
from unified_llm.types.requests import CountRequest, LLMRequest

if TYPE_CHECKING:
    from unified_llm.types.raw import RawRequest, RawResponse


class EndpointsClient(ModelsClient):
    """A client that calls such endpoints."""

    def run_raw(self, request: RawRequest, options: CallOptions) -> RawResponse:
        """Send a request to an endpoint, and return what came back.

        Raises:
            UnsupportedOperationError: No target has the endpoint.
            LLMError: No target served the request.
        """
        response: RawResponse = self._run(self._prepare_raw(request, options))
        return response

    async def arun_raw(self, request: RawRequest, options: CallOptions) -> RawResponse:
        """Do the same as ``run_raw``, for async callers."""
        response: RawResponse = await self._arun(self._prepare_raw(request, options))
        return response

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

    def _prepare_raw(self, request: RawRequest, options: CallOptions) -> PreparedCall:
        chain = self._chain_of(request.model, options)
        if request.one_account:
            chain = CallChain(chain.targets[:1])
        return self._prepare(request, chain, options)
