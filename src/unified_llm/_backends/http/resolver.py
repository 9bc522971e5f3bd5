"""Look-ups of host names, in threads of our own: the system's call takes no deadline, and may hang for minutes.

A look-up that nobody waits for any more goes on in its thread, and costs nothing but that. asyncio's own executor would
be blocked by it, and with it the look-ups of other hosts, ``asyncio.to_thread``, and the end of ``asyncio.run``::

    look_up(host, port) --> the result is fresh (5 s) ----------------------------------> its addresses
              |
              `--> LookUp, one a host at a time, which all callers share --> a thread --> its addresses
                     |
                     +--> it fails, or takes longer than 1 s, and there is a result of the last 5 minutes: that
                     |
                     `--> it takes longer than 5 s: those who come later share another one, as the system may wait
                          for a packet that was lost

``forget`` is called where a connection shows that a name may have moved, so the next look-up is a new one.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from unified_llm._backends.http.connect_failures import NO_DESCRIPTOR, UNKNOWN_NAME
from unified_llm._lib.bounded_dict import BoundedDict
from unified_llm._lib.fork_safe import make_lock, run_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Address: TypeAlias = "tuple[int, int, int, str, Any]"
"""An item of the list that ``socket.getaddrinfo`` returns: family, type, protocol, name, address."""

FRESH: Final = 5.0
"""Seconds for which a result is used without another look-up."""

USABLE: Final = 300.0
"""Seconds for which the last good result is used where a new look-up fails or is slow: the greatest age of a kept
connection, which goes to an old address as well."""

PATIENCE: Final = 1.0
"""Seconds that a look-up may take before a usable result is used in its place."""

HANGING: Final = 5.0
"""Seconds after which a look-up is not waited for any more by those who come later."""

_MAX_HANGING: Final = 3  # look-ups of one host that go on beside the last one
_MAX_THREADS: Final = 128  # each has a look-up of its own; only where look-ups hang are there more than a few
_MAX_KNOWN: Final = 1024

# The function is a part, so that a program that replaces it (a test, a cache) gets no result of the one before.
_Key: TypeAlias = "tuple[str, int, Callable[..., Any]]"


class _Known(NamedTuple):
    addresses: list[Address]
    since: float


class LookUp:
    """One look-up, in progress or ended, for which any number of threads and tasks wait.

    Args:
        began: The instant at which it was asked for.
        usable: The last good result.
        hanging: How many look-ups of the same host hang.

    Attributes:
        done: It has ended.
    """

    __slots__ = ("_result", "_wakers", "began", "done", "hanging", "usable")

    def __init__(self, began: float = 0.0, usable: list[Address] | None = None, hanging: int = 0) -> None:
        self.began, self.usable, self.hanging = began, usable, hanging
        self.done = False
        self._result: list[Address] | Exception | None = None
        self._wakers: list[Callable[[], object]] = []

    def finish(self, result: list[Address] | Exception) -> None:
        """Set the result and wake all who wait."""
        self._result, self.done = result, True
        for wake in list(self._wakers):  # a copy, since those who give up remove theirs
            wake()

    def call_when_done(self, wake: Callable[[], object]) -> None:
        """Call ``wake`` once it has ended: perhaps at once, perhaps twice, from any thread."""
        self._wakers.append(wake)
        if self.done:
            wake()

    def stop_calling(self, wake: Callable[[], object]) -> None:
        """Forget what ``call_when_done`` was given: it refers to an event loop, and a look-up may hang for minutes."""
        with suppress(ValueError):
            self._wakers.remove(wake)

    def result(self) -> list[Address] | Exception | None:
        """Return what is known now: addresses, the error, or None where it has not ended and nothing is known."""
        if self.usable and (not self.done or _is_passing(self._result)):
            return self.usable
        return self._result


def _is_passing(result: object) -> bool:
    """Return whether a look-up failed in a way that says nothing about the name."""
    return isinstance(result, OSError) and not (isinstance(result, socket.gaierror) and result.errno in UNKNOWN_NAME)


class Resolver:
    """Looks up host names for all clients of this process. ``now`` is a monotonic clock."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = make_lock()
        self._known: BoundedDict[_Key, _Known] = BoundedDict(_MAX_KNOWN)
        self._running: dict[_Key, LookUp] = {}
        self._waiting: deque[tuple[_Key, LookUp]] = deque()
        self._threads = 0

    def look_up(self, host: str, port: int) -> LookUp:
        """Start a look-up, or return the one in progress; it has ended already where no thread is needed for it."""
        numeric = _parse_numeric(host, port)
        if numeric is not None:
            return _ended(numeric)
        key = (host, port, socket.getaddrinfo)
        with self._lock:
            known, now = self._known.get(key), self._now()
            if known is not None and now - known.since < FRESH:
                return _ended(known.addresses)
            last = self._running.get(key)
            if last is not None and (now - last.began < HANGING or last.hanging >= _MAX_HANGING):
                return last
            usable = known.addresses if known is not None and now - known.since < USABLE else None
            look_up = self._running[key] = LookUp(now, usable, last.hanging + 1 if last else 0)
            self._waiting.append((key, look_up))
            new_thread = self._threads < _MAX_THREADS
            self._threads += new_thread
        if new_thread:
            self._start_thread()
        return look_up

    def patience_with(self, look_up: LookUp) -> float:
        """Return the seconds for which a look-up is worth waiting: without end where nothing else is usable."""
        if not look_up.usable:
            return float("inf")
        return max(0.0, look_up.began + PATIENCE - self._now())

    def forget(self, host: str, port: int) -> None:
        """Make the next look-up of a host a new one; its addresses remain usable where that fails. Takes no lock."""
        key = (host, port, socket.getaddrinfo)
        known = self._known.get(key)
        if known is not None:
            self._known[key] = known._replace(since=min(known.since, self._now() - FRESH))

    def reset(self) -> None:
        """Remove everything: in a forked child, which has none of the threads."""
        self._known.clear()
        self._running.clear()
        self._waiting.clear()
        self._threads = 0

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._work, name="unified-llm-look-up", daemon=True).start()
        except RuntimeError:  # no more threads, or the interpreter is about to end
            self._work()

    def _work(self) -> None:
        """Make one look-up after another, until none waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                key, look_up = self._waiting.popleft()
            try:
                result = _look_up(key)
            except BaseException:  # SystemExit, or a timeout of gevent: it ends this thread
                with self._lock:
                    self._threads -= 1
                self._finish(key, look_up, OSError("The look-up was interrupted"))
                raise
            self._finish(key, look_up, result)

    def _finish(self, key: _Key, look_up: LookUp, result: list[Address] | Exception) -> None:
        with self._lock:
            if self._running.get(key) is look_up:
                del self._running[key]
            known = self._known.get(key)
            if isinstance(result, list) and (known is None or known.since <= look_up.began):
                self._known.put(key, _Known(result, self._now()))
        look_up.finish(result)


def _look_up(key: _Key) -> list[Address] | Exception:
    host, port, getaddrinfo = key
    try:
        return list(getaddrinfo(host, port, type=socket.SOCK_STREAM)) or socket.gaierror(
            socket.EAI_NONAME, "The name has no address"
        )
    except Exception as error:  # noqa: BLE001 - it is given to all who wait
        return _shortage() or error.with_traceback(None)


def _shortage() -> OSError | None:
    """Return the error where no more files can be opened: the system's resolver then reports some other failure."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.with_traceback(None) if error.errno in NO_DESCRIPTOR else None
    return None


def _parse_numeric(host: str, port: int) -> list[Address] | None:
    """Return the address where the host is one, without a zone; None where it is a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))]
    return None if address.scope_id else [(socket.AF_INET6, socket.SOCK_STREAM, 0, "", (host, port, 0, 0))]


def _ended(addresses: Sequence[Address]) -> LookUp:
    look_up = LookUp()
    look_up.finish(list(addresses))
    return look_up


RESOLVER: Final = Resolver()
run_in_child(RESOLVER.reset)
