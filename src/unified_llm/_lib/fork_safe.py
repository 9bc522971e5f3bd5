"""Locks that survive a fork, and forks that wait for imports; the only module that creates locks or fork handlers.

A child has one thread, a copy of the one that forked. A lock that another thread of the parent held would stay locked
in the child, and so would Python's own lock of a module that another thread was importing: the first call of a client
imports httpx, which takes a tenth of a second. Hence::

    parent, before the fork     waits until no other thread is importing a module, for a few seconds at most
    child                       frees every lock of ``make_lock`` that another thread held, then calls what
                                ``run_in_child`` registered
"""

from __future__ import annotations

# The first two take locks of their own before a fork. The handler that was registered last runs first, and ours must: a
# thread that it waits for may need these locks to finish its import.
import concurrent.futures.thread  # noqa: F401 # pyright: ignore[reportUnusedImport]
import importlib
import logging  # noqa: F401 # pyright: ignore[reportUnusedImport]
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Seconds that a fork waits for imports of other threads, and between two looks. The largest import takes less than one.
_MAX_WAIT: Final = 5.0
_PAUSE: Final = 0.001

_locks: Final[WeakSet[Any]] = WeakSet()
_in_child: Final[list[Callable[[], object]]] = []


def make_lock() -> threading.RLock:
    """Create a lock that is free in every forked child. It is re-entrant: the garbage collector may run anywhere."""
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def make_condition(lock: threading.RLock) -> threading.Condition:
    """Create a condition of a lock of ``make_lock``; in a forked child no thread waits for it."""
    return threading.Condition(lock)


def run_in_child(callback: Callable[[], object]) -> None:
    """Call ``callback`` in every forked child, in the order of registration, once all locks are new."""
    _in_child.append(callback)


def _wait_for_imports() -> None:
    """Wait until no other thread is importing a module. A pause also gives this thread a new turn, to fork within."""
    end = time.monotonic() + _MAX_WAIT
    while threading.active_count() > 1 and _is_another_importing() and time.monotonic() < end:
        time.sleep(_PAUSE)


def _is_another_importing() -> bool:
    """Return whether another thread holds Python's lock of a module, from the search for its file to its last line."""
    module_locks: Mapping[str, Any] = getattr(getattr(importlib, "_bootstrap", None), "_module_locks", {})
    locks = [reference() for reference in list(module_locks.values())]
    return any(getattr(lock, "owner", None) not in {None, threading.get_ident()} for lock in locks)


def _renew_in_child() -> None:
    for lock in list(_locks):
        # The two methods that the standard library uses for its own locks.
        if not lock._is_owned():  # noqa: SLF001 - the thread that forked goes on in the child, and will release it there
            lock._at_fork_reinit()  # noqa: SLF001
    for callback in _in_child:
        callback()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_imports, after_in_child=_renew_in_child)
