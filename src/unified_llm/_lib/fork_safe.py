"""Locks that survive a fork, and forks that wait for imports; the only module that creates locks or fork handlers.

A child has one thread, a copy of the one that forked. A lock that another thread of the parent held would stay locked
in the child, and so would Python's own lock of a module that another thread was importing: the first call of a client
imports httpx, which takes a tenth of a second. Hence::

    parent, before the fork     waits until no other thread is importing a module, as long as such imports make progress
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

# Seconds that a fork waits for imports of other threads: while they begin and end none, and in all. The largest import
# takes less than one, but on a busy machine many; a thread may also run a whole program within an import.
_MAX_STALL: Final = 5.0
_MAX_WAIT: Final = 60.0
_PAUSE: Final = 0.001  # between two looks

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
    began = changed = now = time.monotonic()
    before: set[str] = set()
    while threading.active_count() > 1 and (names := _imported_by_others()):
        if names != before:
            before, changed = names, now
        if now - changed > _MAX_STALL or now - began > _MAX_WAIT:
            return
        time.sleep(_PAUSE)
        now = time.monotonic()


def _imported_by_others() -> set[str]:
    """Return the modules whose locks other threads hold: from the search for a file to its last line."""
    module_locks: Mapping[str, Any] = getattr(getattr(importlib, "_bootstrap", None), "_module_locks", {})
    locks = [(name, reference()) for name, reference in list(module_locks.items())]
    return {name for name, lock in locks if getattr(lock, "owner", None) not in {None, threading.get_ident()}}


def _renew_in_child() -> None:
    for lock in list(_locks):
        # The two methods that the standard library uses for its own locks.
        if not lock._is_owned():  # noqa: SLF001 - the thread that forked goes on in the child, and will release it there
            lock._at_fork_reinit()  # noqa: SLF001
    for callback in _in_child:
        callback()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_imports, after_in_child=_renew_in_child)
