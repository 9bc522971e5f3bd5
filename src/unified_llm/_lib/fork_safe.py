"""Locks and imports that survive a fork; the only module that creates locks or registers fork handlers.

A child has one thread, a copy of the one that forked. A lock that another thread of the parent held would stay locked
in the child, and so would Python's own lock of a module that another thread was importing. Hence::

    parent, before the fork     waits until no other thread is inside ``importing``, for a few seconds at most
    child                       frees every lock of ``make_lock`` that another thread held, then calls what
                                ``run_in_child`` registered

Imports inside functions run inside ``importing``, since they may be the first import of a library in this process. A
module must not enter ``importing`` while it is itself being imported: two threads could wait for each other.
"""

from __future__ import annotations

# The first two take locks of their own before a fork. The handler that was registered last runs first, and ours must: a
# thread that it waits for may need these locks to finish its import.
import concurrent.futures.thread  # noqa: F401 # pyright: ignore[reportUnusedImport]
import logging  # noqa: F401 # pyright: ignore[reportUnusedImport]
import os
import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds that a fork waits for imports of other threads. The largest takes less than one.
_MAX_WAIT: Final = 5.0

_locks: Final[WeakSet[Any]] = WeakSet()
_in_child: Final[list[Callable[[], object]]] = []


def make_lock() -> threading.RLock:
    """Create a lock that is free in every forked child. It is re-entrant: the garbage collector may run anywhere."""
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def run_in_child(callback: Callable[[], object]) -> None:
    """Call ``callback`` in every forked child, in the order of registration, once all locks are new."""
    _in_child.append(callback)


importing: Final = threading.RLock()
"""Held while a function imports what it needs: ``with importing: from x import y``."""


class _ForkHandlers:
    """The handlers of the process. ``_held``: whether the thread that forks holds ``importing`` for the fork."""

    def __init__(self) -> None:
        self._held = False

    def before(self) -> None:
        self._held = importing.acquire(timeout=_MAX_WAIT)

    def after_in_parent(self) -> None:
        if self._held:
            importing.release()

    def after_in_child(self) -> None:
        if self._held:  # the child's only thread is the one that acquired it
            importing.release()
        else:
            _renew(importing)
        for lock in list(_locks):
            _renew(lock)
        for callback in _in_child:
            callback()


def _renew(lock: Any) -> None:
    # The two methods that the standard library uses for its own locks.
    if not lock._is_owned():  # noqa: SLF001 - the thread that forked goes on in the child, and will release it there
        lock._at_fork_reinit()  # noqa: SLF001


_handlers: Final = _ForkHandlers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_handlers.before, after_in_parent=_handlers.after_in_parent, after_in_child=_handlers.after_in_child
    )
