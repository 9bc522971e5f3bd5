"""Chooses the backend of an exchange: HTTP, MLX in this process, or a wrapped model object."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from unified_llm._client.first_use import load_for
from unified_llm._core import runtime
from unified_llm._core.codec import AnyRequest, Codec
from unified_llm._core.exchange import AsyncExchange, Exchange
from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for

if TYPE_CHECKING:
    from unified_llm._backends.http import Transport
    from unified_llm.types.requests import LLMRequest


class Backends:
    """The backends of one client; no connection is made before the first exchange."""

    def __init__(self) -> None:
        self._http: Transport | None = None

    def exchange(self, request: AnyRequest, target: Target) -> Exchange:
        """Make an exchange, for sync callers."""
        if make := runtime.current().exchange:
            return make(request, target)
        if (model := in_process_model(target)) is not None:
            exchange: Exchange = model.exchange(request)
            return exchange
        return self.http_exchange(codec_for(target.format), request, target)

    def http_exchange(self, codec: Codec, request: AnyRequest, target: Target) -> Exchange:
        """Make an exchange over HTTP in a format, for sync callers."""
        transport = self._transport
        if target.key_callable is not None:
            from unified_llm._backends.keys.exchange import KeyedExchange

            return KeyedExchange(target.key_callable, partial(transport.exchange, codec, request), target)
        return transport.exchange(codec, request, target)

    def aexchange(self, request: AnyRequest, target: Target) -> AsyncExchange:
        """Make an exchange, for async callers."""
        if make := runtime.current().aexchange:
            return make(request, target)
        if (model := in_process_model(target)) is not None:
            exchange: AsyncExchange = model.aexchange(request)
            return exchange
        codec, transport = codec_for(target.format), self._transport
        if target.key_callable is not None:
            from unified_llm._backends.keys.exchange import AsyncKeyedExchange

            return AsyncKeyedExchange(target.key_callable, partial(transport.aexchange, codec, request), target)
        return transport.aexchange(codec, request, target)

    def aexchange_of_sync(self, request: AnyRequest, target: Target) -> AsyncExchange:
        """Make an exchange for an event loop that serves a sync caller.

        A model object gets the call in a thread, by its sync methods: what it has for async callers may belong to a
        loop of the caller's.
        """
        if target.format not in {"wrapped", "user"} or runtime.current().aexchange:
            return self.aexchange(request, target)
        from unified_llm._backends.objects.exchange import ThreadedAsyncExchange

        return ThreadedAsyncExchange(in_process_model(target), cast("LLMRequest", request))

    def load(self, target: Target) -> Awaitable[None] | None:
        """Return what an async caller awaits before ``aexchange``; None where nothing is left to import."""
        return None if runtime.current().aexchange else load_for(target)

    def connect_in_advance(self, target: Target, until: float) -> Failure | None:
        """Import what a target needs, and make a connection to it, for sync callers; return why that failed."""
        if runtime.current().exchange or in_process_model(target) is not None:
            return None
        codec_for(target.format)
        return self._transport.connect_in_advance(target, until)

    async def aconnect_in_advance(self, target: Target, until: float) -> Failure | None:
        """Do the same as ``connect_in_advance``, for the running event loop."""
        if runtime.current().aexchange or in_process_model(target) is not None:
            return None
        if loading := self.load(target):
            await loading
        codec_for(target.format)
        return await self._transport.aconnect_in_advance(target, until)

    @property
    def _transport(self) -> Transport:
        if self._http is None:
            # Here rather than above: httpx takes longer to import than all the rest.
            from unified_llm._backends.http import Transport

            self._http = self._http or Transport()
        return self._http

    def close(self) -> None:
        """Close every connection; the next exchange makes new ones."""
        if self._http is not None:
            self._http.close()

    async def aclose(self) -> None:
        """Close every connection, those of the running event loop included."""
        if self._http is not None:
            await self._http.aclose()

    async def end_loop(self) -> None:
        """Close the idle connections of the running event loop alone, which is about to be closed."""
        if self._http is not None:
            await self._http.end_loop()


def in_process_model(target: Target) -> Any:
    """Return the model object of a target in this process; None for targets behind HTTP."""
    if target.format in {"wrapped", "user"}:
        return target.instance
    if target.format == "mlx":
        from unified_llm._backends.mlx.exchange import MLXModel

        return MLXModel(target)
    return None
