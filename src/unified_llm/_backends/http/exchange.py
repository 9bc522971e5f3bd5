"""The part that sync and async exchanges share: the request to send, and the rule for stale connections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from unified_llm._backends.http import pool
from unified_llm._backends.http.deadline_socket import ACKNOWLEDGED, DeadlineSocket
from unified_llm._backends.http.request import add_query, prepare_request
from unified_llm._backends.http.response import Body, Head
from unified_llm._core.codec import Returns, wants_stream
from unified_llm._core.outcome import Failure
from unified_llm._core.redaction import SentKeys

if TYPE_CHECKING:
    import httpx

    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.target import Target

ERROR_SECONDS: Final = 5.0
"""Seconds to wait for the body of an error response; its status is already known."""

_STALE_SECONDS: Final = 1.0


class HTTPExchange:
    """Base of the sync and the async exchange: one request to one target."""

    # Set when the request is prepared.
    _sent_keys: SentKeys
    _size: int
    _returns: Returns

    def __init__(self, codec: Codec, call_request: AnyRequest, target: Target) -> None:
        self._codec, self._call_request, self._target = codec, call_request, target
        self._wants_stream = wants_stream(call_request)

    def _prepare_request(self) -> tuple[pool.Route, httpx.Request] | Failure:
        wire_request = self._codec.encode(self._call_request, self._target)
        if self._target.query:
            wire_request = replace(wire_request, url=add_query(wire_request.url, self._target.query))
        bodies = self._target.extra_body, getattr(self._call_request, "extra_body", {})
        self._sent_keys = SentKeys(self._target.key, wire_request.headers, wire_request.url, *bodies)
        self._size, self._returns = len(wire_request.body), wire_request.returns
        prepared = prepare_request(wire_request, stream=self._wants_stream)
        if isinstance(prepared, Failure):
            return prepared
        endpoint, http_request = prepared
        return pool.route_to(endpoint, self._target), http_request

    def _start_on(self, sock: DeadlineSocket, until: float) -> None:
        sock.start_request(until, self._target.timing.connect, self._size)

    def _open_body(self, http_response: httpx.Response) -> tuple[Head, Body]:
        head = Head(http_response.status_code, http_response.headers.raw, self._sent_keys)
        return head, Body(self._codec, self._call_request, self._target, head, returns=self._returns)


def is_stale(failure: Failure | None, sock: DeadlineSocket, seconds: float) -> bool:
    """Return whether a reused connection failed because the server had closed it, perhaps while we were writing.

    Such a failure is no sign of ill health: the server has very likely not processed the request, which cannot be known
    for certain. It must show within one second and before any byte of a response: a server that crashes while it
    processes a request takes longer. The idle connections of the same route are probably closed as well.

    Where the other side has acknowledged nothing of the request for some 20 seconds, nobody has read it: a gateway
    between us has forgotten the connection, or the server's machine is gone.
    """
    if failure is None or failure.kind != "connection" or sock.received:
        return False
    return seconds < (ACKNOWLEDGED if sock.unacknowledged else _STALE_SECONDS)


def is_shortage(result: object) -> bool:
    """Return whether a request was not sent because this process may open no more files."""
    return isinstance(result, Failure) and result.kind == "pool"


def can_be_kept(head: Head) -> bool:
    """Return whether a connection can carry another request after this response, and should."""
    return head.persistent and not may_have_moved(head)


def may_have_moved(head: Head) -> bool:
    """Return whether the server may be about to end, with its name at another machine already."""
    return head.status in {502, 503, 504}
