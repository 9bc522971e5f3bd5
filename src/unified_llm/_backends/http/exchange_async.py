"""The async exchange over HTTP, for asyncio. Its sync counterpart, ``exchange_sync``, says the same without ``await``.

Connections belong to the event loop that made them, so there is a pool for each. Nothing of a pool refers to its loop
for long; pools of closed loops are emptied when any loop is looked up.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, cast
from weakref import WeakKeyDictionary

import httpx

from unified_llm._backends.http import errors, pool
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
from unified_llm._backends.http.exchange import ERROR_SECONDS, HTTPAttempt, is_stale
from unified_llm._core.outcome import Done, Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from unified_llm._backends.http.response import Body, Head
    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.exchange import Event
    from unified_llm._core.target import Target

_BUFFERED: Final = 256  # pieces; a server that sends them by the byte could make thousands of one read


class LoopSlot(httpx.AsyncHTTPTransport):
    """One connection, for one request after the other; see ``BlockingSlot``."""

    def __init__(self, route: pool.Route, now: Callable[[], float]) -> None:
        # httpx's own __init__ would make a pool of many connections where this has one.
        self.wire = AsyncDeadlineSocket(now)
        self.connection = pool.aconnection(route, self.wire)
        self._pool = self.connection  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
        self.idle_since = 0.0
        self._rest: tuple[AsyncIterator[bytes], httpx.AsyncByteStream] | None = None

    def drop(self) -> None:
        """Close at once, with or without a running loop."""
        self.wire.drop()

    def park(self, pieces: AsyncIterator[bytes], stream: httpx.AsyncByteStream) -> None:
        """Nothing more of this body is wanted. Its last bytes may still be on their way; ``settle`` sees to them."""
        self._rest = (pieces, stream)

    async def finish(self) -> None:
        """After ``drop``: end what is left of a body here, rather than in a task that the event loop makes for it."""
        rest, self._rest = self._rest, None
        if rest is not None:
            await _finish(rest[0])

    async def settle(self) -> bool:
        """Whether this connection can carry another request. Waits for nothing."""
        self.wire.until = pool.NOT_WAITING
        try:
            if self._rest is not None:
                pieces, stream = self._rest
                for _ in range(pool.REST):
                    if await anext(pieces, None) is None:
                        break
                else:
                    return False
                await stream.aclose()
                self._rest = None
            return self.connection.is_idle() and not self.connection.has_expired()
        except errors.FAULTS:
            return False


class LoopPool:
    """The connections of one event loop."""

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self.now = now
        self.shelf: pool.Shelf[LoopSlot] = pool.Shelf(now)
        self._permits = asyncio.Semaphore(limit)

    async def acquire(self, until: float) -> bool:
        """Whether one more connection may be busy."""
        if not self._permits.locked():
            return await self._permits.acquire()
        try:
            async with asyncio.timeout(max(0.0, min(pool.WAIT_SECONDS, until - self.now()))):
                return await self._permits.acquire()
        except TimeoutError:
            return False

    def release(self) -> None:
        """One less is busy."""
        self._permits.release()

    async def idle(self, route: pool.Route) -> LoopSlot | None:
        """A connection that works, or None where a new one is needed."""
        while (slot := self.shelf.take(route)) is not None:
            works = False
            try:
                works = await slot.settle()
            finally:
                if not works:
                    slot.drop()
            if works:
                return slot
            await slot.finish()
        return None


class Loops:
    """The pools of all event loops."""

    def __init__(self, limit: int, now: Callable[[], float], *, closed: bool) -> None:
        self._limit, self._now, self._closed = limit, now, closed
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopPool] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def running(self) -> LoopPool:
        """The pool of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            found = self._pools.get(loop)
            if found is None or len(self._pools) > 1:
                self._sweep()
            if found is None:
                found = self._pools[loop] = LoopPool(self._limit, self._now)
                found.shelf.closed = self._closed
        return found

    def clear(self, *, closed: bool) -> None:
        """Close all idle connections; after ``closed`` none is kept any more."""
        self._closed = closed
        for each in list(self._pools.values()):
            each.shelf.closed = closed
            each.shelf.clear()

    async def aclear(self, *, closed: bool) -> None:
        """As ``clear``; unfinished bodies of the running loop are ended, too."""
        own = self._pools.get(asyncio.get_running_loop())
        dropped = own.shelf.clear() if own else []
        self.clear(closed=closed)
        for slot in dropped:
            await slot.finish()

    def _sweep(self) -> None:
        for loop in list(self._pools):
            if loop.is_closed():
                self._pools.pop(loop).shelf.clear()


class _Answer(NamedTuple):
    """A response that has begun."""

    head: Head
    body: Body
    stream: httpx.AsyncByteStream
    pieces: AsyncIterator[bytes]


class LoopExchange(HTTPAttempt):
    """One attempt over HTTP."""

    def __init__(self, connections: LoopPool, codec: Codec, ask: AnyRequest, target: Target) -> None:
        super().__init__(codec, ask, target)
        self._pool = connections
        self._permit = False
        self._place: tuple[pool.Route, LoopSlot] | None = None
        self._answer: _Answer | None = None
        self._keep = False

    async def open(self, until: float) -> Failure | None:
        """Send the request; None once the target has accepted it.

        Raises:
            ValidationError: The codec cannot write the request.
        """
        prepared = self._prepare()
        if isinstance(prepared, Failure):
            return prepared
        if not await self._pool.acquire(until):
            return Failure("pool")
        self._permit = True
        answer = await self._send(*prepared, until)
        if isinstance(answer, Failure):
            return answer
        self._answer = answer
        if answer.head.status < 300:
            return None
        end = await self.read(min(until, self._pool.now() + ERROR_SECONDS))
        return end if isinstance(end, Failure) else Failure("malformed", status=answer.head.status)

    async def read(self, until: float) -> Event:
        """The next chunk, the end, or what went wrong."""
        if self._answer is None or self._place is None:
            return Failure("connection")  # there is nothing to read before open, or after its failure
        _, body, _, pieces = self._answer
        self._place[1].wire.until = until
        while (event := body.event()) is None:
            if self._pool.now() >= until:
                return body.late()
            try:
                piece = await anext(pieces, None)
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

    async def close(self) -> None:
        """Give everything back: the connection to the pool if it can be used again."""
        place, self._place = self._place, None
        answer, self._answer = self._answer, None
        if place is not None:
            route, slot = place
            if answer is not None and self._keep and answer.head.persistent:
                slot.park(answer.pieces, answer.stream)
                if self._pool.shelf.put(route, slot):
                    answer = None
            else:
                slot.drop()
        if self._permit:
            self._permit = False
            self._pool.release()
        if answer is not None:
            # From here nobody comes back who closes in the garbage collector: the loop then ends the generator.
            await asyncio.sleep(0)
            await _finish(answer.pieces)

    async def _send(self, route: pool.Route, request: httpx.Request, until: float) -> _Answer | Failure:
        """Send over an idle connection, or a new one."""
        begun = self._pool.now()
        slot = await self._pool.idle(route)
        if slot is not None:
            answer = await self._send_over(route, slot, request, until)
            if not isinstance(answer, Failure) or not is_stale(answer, slot.wire, self._pool.now() - begun):
                return answer
            slot.drop()
        try:
            slot = LoopSlot(route, self._pool.now)
        except errors.SETUP_FAULTS as problem:
            return errors.setup_failure(problem)
        return await self._send_over(route, slot, request, until)

    async def _send_over(
        self, route: pool.Route, slot: LoopSlot, request: httpx.Request, until: float
    ) -> _Answer | Failure:
        self._place = (route, slot)
        self._set(slot.wire, until)
        try:
            response = await slot.handle_async_request(request)
        except errors.FAULTS as problem:
            return errors.failure(problem, slot.wire)
        stream = cast("httpx.AsyncByteStream", response.stream)
        return _Answer(*self._received(response), stream, aiter(stream))


async def _finish(pieces: AsyncIterator[bytes]) -> None:
    """Let a generator end here that the event loop would otherwise end at some later time, perhaps too late.

    Its connection is closed, so it fails as soon as it has handed out what it had read. Everything of importance was
    done before: should the task be cancelled here, the generator ends by that.
    """
    with suppress(*errors.FAULTS, RuntimeError):
        for _ in range(_BUFFERED):
            if await anext(pieces, None) is None:
                return
