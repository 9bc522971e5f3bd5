"""Calls that wait for a descriptor, because this process may open no more files.

There is no lock here, for the reason in ``pool``; a wake-up that comes to nothing is made good by the next look.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

RECHECK: Final = 0.25
"""Seconds between two looks: code that is not ours frees descriptors too, and tells nobody."""

_waiting: Final[deque[Callable[[], Any]]] = deque()


@contextmanager
def waiting(wake: Callable[[], Any]) -> Generator[None]:
    """Call ``wake`` once, from any thread, if one may have become free before the block ends."""
    _waiting.append(wake)
    try:
        yield
    finally:
        with suppress(ValueError):
            _waiting.remove(wake)


def note_freed() -> None:
    """Wake the call that waits longest: a connection was closed, or can carry another request."""
    if _waiting:
        with suppress(IndexError):
            _waiting.popleft()()
