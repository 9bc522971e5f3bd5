"""The sync exchange over HTTP. Its async counterpart, ``exchange_async``, says the same line by line with ``await``."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, cast

import httpx

from unified_llm._backends.http import errors, pool
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
from unified_llm._backends.http.exchange import ERROR_SECONDS, HTTPAttempt, is_stale
from unified_llm._core.outcome import Done, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unified_llm._backends.http.response import Body, Head
    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.exchange import Event
    from unified_llm._core.target import Target


class BlockingSlot(httpx.HTTPTransport):
    """One connection, for one request after the other.

    It is an httpx transport, so that what records or replaces httpx's traffic (vcrpy, respx, pytest-httpx) sees ours.
    """

    def __init__(self, route: pool.Route, now: Callable[[], float]) -> None:
        # httpx's own __init__ would make a pool of many connections where this has one.
        self.wire = SyncDeadlineSocket(now)
        self.connection = pool.connection(route, self.wire)
        self._pool = self.connection  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
        self.idle_since = 0.0
        self._rest: tuple[Iterator[bytes], httpx.SyncByteStream] | None = None

    def drop(self) -> None:
        """Close at once."""
        self._rest = None
        self.wire.drop()

    def park(self, pieces: Iterator[bytes], stream: httpx.SyncByteStream) -> None:
        """Nothing more of this body is wanted. Its last bytes may still be on their way; ``settle`` sees to them."""
        self._rest = (pieces, stream)

    def settle(self) -> bool:
        """Whether this connection can carry another request. Waits for nothing."""
        rest, self._rest = self._rest, None
        self.wire.until = pool.NOT_WAITING
        try:
            if rest is not None:
                pieces, stream = rest
                for _ in range(pool.REST):
                    if next(pieces, None) is None:
                        break
                else:
                    return False
                stream.close()
            return self.connection.is_idle() and not self.connection.has_expired()
        except errors.FAULTS:
            return False


class BlockingPool:
    """The connections of all threads."""

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self.now = now
        self.shelf: pool.Shelf[BlockingSlot] = pool.Shelf(now)
        # SimpleQueue.put may be called by the garbage collector at any moment; a semaphore's release may not.
        self._permits: SimpleQueue[None] = SimpleQueue()
        for _ in range(limit):
            self._permits.put(None)

    def acquire(self, until: float) -> bool:
        """Whether one more connection may be busy."""
        try:
            self._permits.get(timeout=max(0.0, min(pool.WAIT_SECONDS, until - self.now())))
        except Empty:
            return False
        return True

    def release(self) -> None:
        """One less is busy."""
        self._permits.put(None)

    def idle(self, route: pool.Route) -> BlockingSlot | None:
        """A connection that works, or None where a new one is needed."""
        while (slot := self.shelf.take(route)) is not None:
            if slot.settle():
                return slot
            slot.drop()
        return None


class _Answer(NamedTuple):
    """A response that has begun."""

    head: Head
    body: Body
    stream: httpx.SyncByteStream
    pieces: Iterator[bytes]


class BlockingExchange(HTTPAttempt):
    """One attempt over HTTP."""

    def __init__(self, connections: BlockingPool, codec: Codec, ask: AnyRequest, target: Target) -> None:
        super().__init__(codec, ask, target)
        self._pool = connections
        self._permit = False
        self._place: tuple[pool.Route, BlockingSlot] | None = None
        self._answer: _Answer | None = None
        self._keep = False

    def open(self, until: float) -> Failure | None:
        """Send the request; None once the target has accepted it.

        Raises:
            ValidationError: The codec cannot write the request.
        """
        prepared = self._prepare()
        if isinstance(prepared, Failure):
            return prepared
        if not self._pool.acquire(until):
            return Failure("pool")
        self._permit = True
        answer = self._send(*prepared, until)
        if isinstance(answer, Failure):
            return answer
        self._answer = answer
        if answer.head.status < 300:
            return None
        end = self.read(min(until, self._pool.now() + ERROR_SECONDS))
        return end if isinstance(end, Failure) else Failure("malformed", status=answer.head.status)

    def read(self, until: float) -> Event:
        """The next chunk, the end, or what went wrong."""
        if self._answer is None or self._place is None:
            return Failure("connection")  # there is nothing to read before open, or after its failure
        _, body, _, pieces = self._answer
        self._place[1].wire.until = until
        while (event := body.event()) is None:
            if self._pool.now() >= until:
                return body.late()
            try:
                piece = next(pieces, None)
            except httpx.TimeoutException:
                return body.late()
            except errors.FAULTS:
                body.finish(cut=True)
                continue
            if piece is None:
                self._keep = True
                body.finish(cut=False)
            else:
                body.feed(piece)
        self._keep = self._keep or isinstance(event, Done)
        return event

    def close(self) -> None:
        """Give everything back: the connection to the pool if it can be used again."""
        place, self._place = self._place, None
        answer, self._answer = self._answer, None
        if place is not None:
            route, slot = place
            if answer is not None and self._keep and answer.head.persistent:
                slot.park(answer.pieces, answer.stream)
                self._pool.shelf.put(route, slot)
            else:
                slot.drop()
        if self._permit:
            self._permit = False
            self._pool.release()

    def _send(self, route: pool.Route, request: httpx.Request, until: float) -> _Answer | Failure:
        """Send over an idle connection, or a new one."""
        begun = self._pool.now()
        slot = self._pool.idle(route)
        if slot is not None:
            answer = self._send_over(route, slot, request, until)
            if not isinstance(answer, Failure) or not is_stale(answer, slot.wire, self._pool.now() - begun):
                return answer
            slot.drop()
        try:
            slot = BlockingSlot(route, self._pool.now)
        except errors.SETUP_FAULTS as problem:
            return errors.setup_failure(problem)
        return self._send_over(route, slot, request, until)

    def _send_over(
        self, route: pool.Route, slot: BlockingSlot, request: httpx.Request, until: float
    ) -> _Answer | Failure:
        self._place = (route, slot)
        self._set(slot.wire, until)
        try:
            response = slot.handle_request(request)
        except errors.FAULTS as problem:
            return errors.failure(problem, slot.wire)
        stream = cast("httpx.SyncByteStream", response.stream)
        return _Answer(*self._received(response), stream, iter(stream))
