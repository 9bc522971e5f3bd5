"""What the exchanges of both colours have in common: the request that they send, and when a connection may be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unified_llm._backends.http import pool
from unified_llm._backends.http.request import prepare
from unified_llm._backends.http.response import Body, Head
from unified_llm._core.outcome import Failure
from unified_llm.types.requests import LLMRequest

if TYPE_CHECKING:
    import httpx

    from unified_llm._backends.http.deadline_socket import DeadlineSocket
    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.target import Target

ERROR_SECONDS: Final = 5.0
"""How long to wait for an error's body, whose status is known already."""

_STALE_SECONDS: Final = 1.0


class HTTPAttempt:
    """One request to one target, whatever the colour."""

    def __init__(self, codec: Codec, ask: AnyRequest, target: Target) -> None:
        self._codec, self._ask, self._target = codec, ask, target
        self._streams = isinstance(ask, LLMRequest) and ask.stream

    def _prepare(self) -> tuple[pool.Route, httpx.Request] | Failure:
        prepared = prepare(self._codec.encode(self._ask, self._target), streams=self._streams)
        if isinstance(prepared, Failure):
            return prepared
        place, request = prepared
        return pool.route(place, self._target), request

    def _set(self, wire: DeadlineSocket, until: float) -> None:
        wire.until, wire.connect, wire.received = until, self._target.timing.connect, 0

    def _received(self, response: httpx.Response) -> tuple[Head, Body]:
        head = Head(response.status_code, response.headers.raw)
        return head, Body(self._codec, self._ask, self._target, head)


def is_stale(failure: Failure | None, wire: DeadlineSocket, seconds: float) -> bool:
    """Whether a kept connection failed because the server had closed it, perhaps while we were writing.

    No failure of this request then, which nobody has seen; but only if it shows at once and before any byte of an
    answer. A server that dies of a request takes longer.
    """
    return failure is not None and failure.kind == "connection" and not wire.received and seconds < _STALE_SECONDS
