"""Which address of a host is tried when: happy eyeballs (RFC 8305). The same for sync and async; it does no I/O.

The next address is tried where one has failed, or has not answered within a quarter of a second; the first connection
wins, and the others are closed::

    0 s      0.25      0.5
     |-- 2001:db8::1 -------------------- no answer: slow, last in the next races
              |-- 192.0.2.1 -- refused
                     |-- 2001:db8::2 ---- connected: wins

Families alternate, as section 4 of the RFC requires: of the addresses of a broken IPv6 only one is tried before IPv4.
An address that lost to a later one is slow: for ten minutes it comes after the others, so only the first call waits.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from unified_llm._backends.http.resolver import Address
from unified_llm._lib.expiring_dict import ExpiringDict
from unified_llm._lib.fork_safe import make_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DELAY: Final = 0.25
"""Seconds until the next address is tried: the recommendation of section 5 of RFC 8305."""

SLOW_FOR: Final = 600.0
"""Seconds for which an address that lost comes last."""

_MAX_SLOW: Final = 1024


class SlowAddresses:
    """Addresses that lost a race, for all clients of this process. ``now`` is a monotonic clock."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = make_lock()
        self._until: ExpiringDict[Any, float] = ExpiringDict(_MAX_SLOW)

    def add(self, address: Address) -> None:
        """Remember that an address lost."""
        until = self._now() + SLOW_FOR
        with self._lock:
            self._until.put(address[4], until, until)

    def remove(self, address: Address) -> None:
        """Forget that an address lost: it has won."""
        if address[4] in self._until:
            with self._lock:
                self._until.pop(address[4])

    def sort(self, addresses: Iterable[Address]) -> list[Address]:
        """Return addresses with alternating families, in their order, and then the slow ones."""
        now, good, slow = self._now(), list[Address](), list[Address]()
        for address in addresses:
            (slow if (self._until.get(address[4]) or now) > now else good).append(address)
        return [*_alternate(good), *_alternate(slow)]


def _alternate(addresses: list[Address]) -> Iterator[Address]:
    """Yield an address of each family in turn; the system has sorted those of a family (RFC 6724)."""
    by_family: dict[int, deque[Address]] = {}
    for address in addresses:
        by_family.setdefault(address[0], deque()).append(address)
    while by_family:
        for family in list(by_family):
            yield by_family[family].popleft()
            if not by_family[family]:
                del by_family[family]


SLOW_ADDRESSES: Final = SlowAddresses()


class AddressRace:
    """One race between the addresses of a host.

    Attributes:
        error: The error that says most about the host, of the addresses that failed.
    """

    def __init__(self, addresses: Iterable[Address], slow: SlowAddresses = SLOW_ADDRESSES) -> None:
        self._left = deque(slow.sort(addresses))
        self._slow = slow
        self._connecting: dict[socket.socket, Address] = {}
        self._next = float("-inf")
        self.error: OSError | None = None

    @property
    def alone(self) -> bool:
        """Return whether one address is left and none is connecting, so that nothing but the deadline ends the wait."""
        return len(self._left) == 1 and not self._connecting

    def begin_due(self, now: float) -> Iterator[tuple[socket.socket, Any]]:
        """Yield a new socket, and the address to connect it to, for each address that is to be tried now."""
        while self._left and now >= self._next:
            address = self._left.popleft()
            try:
                new_socket = socket.socket(*address[:3])
            except OSError as error:
                self._keep(error)
                continue
            self._connecting[new_socket] = address
            self._next = now + DELAY
            new_socket.setblocking(False)  # noqa: FBT003 - the standard library's signature
            yield new_socket, address[4]

    def seconds_to_next(self, now: float) -> float:
        """Return the seconds until another address is to be tried; infinity where none is left."""
        return max(0.0, self._next - now) if self._left else float("inf")

    def lose(self, failed: socket.socket, error: OSError) -> None:
        """Close a socket that could not connect; the next address is tried at once."""
        self._slow.add(self._connecting.pop(failed))
        failed.close()
        self._keep(error)
        self._next = float("-inf")

    def win(self, connected: socket.socket) -> socket.socket:
        """Take a socket that has connected out of the race. Those that were tried before it are slow."""
        for tried, address in self._connecting.items():  # in the order in which they were tried
            if tried is connected:
                self._slow.remove(address)
                break
            self._slow.add(address)
        del self._connecting[connected]
        return connected

    def close(self) -> None:
        """Close all sockets that are still connecting."""
        while self._connecting:
            self._connecting.popitem()[0].close()

    def _keep(self, error: OSError) -> None:
        """Keep the last error, but none of this machine (no IPv6, say) in place of one of the host."""
        if self.error is None or isinstance(error, ConnectionError) or not isinstance(self.error, ConnectionError):
            self.error = error
