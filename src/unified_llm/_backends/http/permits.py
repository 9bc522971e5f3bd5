"""Permits to use a connection: so many at a time with each origin, so that a server that hangs takes none of another's.

A permit counts from its creation until it is released or nothing refers to it any more. So what is counted are objects
that exist, not tokens that must be put back: an exception at any line, such as one that a signal handler raises, cannot
lose a permit for good. The permits of an origin stand in the order in which they were requested::

    permits of one origin    [ 1  2  3 ... 1000 | 1001  1002 ]
                                   granted           wait

There is no lock here: the garbage collector can release a permit in a thread that already holds any lock. Every step is
one atomic operation of a dictionary, which keeps the order of its keys, and positions only ever move forward; so no two
threads can both take the last permit. For the same reason the weak references call no Python function.
"""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable

Origin: TypeAlias = tuple[str, str, int]
_Queue: TypeAlias = "dict[int, ref[Permit]]"

MAX_WAIT: Final = 5.0
"""Seconds that an attempt waits for a permit; a call with nothing left to try makes another attempt."""

RECHECK: Final = 0.25
"""Seconds between two looks of a permit that waits: one that was lost, rather than released, wakes no other."""

_MIN_WAIT: Final = 0.2
_MIN_SWEEP: Final = 64

_numbers: Final = count()


class Permit:
    """One permit, from its request on; it may have to wait until it is granted.

    Attributes:
        on_granted: Called when it may have been granted, from any thread and at any moment; None while nobody waits.
    """

    __slots__ = ("__weakref__", "_limit", "_number", "_queue", "on_granted")

    def __init__(self, queue: _Queue, limit: int) -> None:
        self.on_granted: Callable[[], Any] | None = None
        self._queue, self._limit, self._number = queue, limit, next(_numbers)
        forget: Callable[[ref[Permit]], Any] = partial(queue.pop, self._number)
        queue[self._number] = ref(self, forget)

    @property
    def granted(self) -> bool:
        """Return whether a connection may be used now."""
        queue, limit = self._queue, self._limit
        return len(queue) <= limit or self._number in list(queue)[:limit]

    def release(self) -> None:
        """Give it back, or stop waiting for it; may be called more than once."""
        queue = self._queue
        queue.pop(self._number, None)
        if len(queue) >= self._limit:
            self._wake_next()

    def _wake_next(self) -> None:
        """Wake those that have just been granted, which are the last ones of those that are granted."""
        for number in reversed(list(self._queue)[: self._limit]):
            reference = self._queue.get(number)
            permit = reference() if reference else None
            if permit is None:
                continue
            wake = permit.on_granted
            if wake is None:
                return
            permit.on_granted = None  # it stays granted, so no later release wakes it again
            wake()


class Permits:
    """Permits of all origins. Origins without a permit in use are removed now and then."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queues: dict[Origin, _Queue] = {}
        self._sweep_at = _MIN_SWEEP

    def request(self, origin: Origin) -> Permit:
        """Create a permit, which waits behind those that were requested before it."""
        if len(self._queues) >= self._sweep_at:
            self._sweep()
        return Permit(self._queues.setdefault(origin, {}), self._limit)

    def in_use(self) -> dict[Origin, int]:
        """Return how many permits of each origin are granted or wait."""
        return {origin: len(queue) for origin, queue in list(self._queues.items()) if queue}

    def __len__(self) -> int:
        """Return how many origins are remembered."""
        return len(self._queues)

    def _sweep(self) -> None:
        # A permit that is requested at this very moment may be the first of a removed queue: then that origin has one
        # permit too many for a while, which is harmless.
        for origin, queue in list(self._queues.items()):
            if not queue:
                self._queues.pop(origin, None)
        self._sweep_at = max(_MIN_SWEEP, 2 * len(self._queues))


def seconds_to_wait(left: float) -> float:
    """Return how long an attempt waits for a permit if it has so many seconds left.

    Half of them are for the request, or a target would be blamed for a timeout that the wait has caused.
    """
    return min(MAX_WAIT, left / 2 if left > _MIN_WAIT else max(0.0, left))
