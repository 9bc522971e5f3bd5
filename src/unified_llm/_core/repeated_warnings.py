"""Warnings that each call, or each new client, would repeat: logged once in a process, or once a minute with a count.

``reset_health()`` forgets them, and so does a forked child.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Final

from unified_llm._lib.bounded_dict import BoundedDict
from unified_llm._lib.fork_safe import make_lock, run_in_child

_log = logging.getLogger("unified_llm")

# Seconds between two warnings that are logged once a minute.
_WARN_EVERY: Final = 60.0
_MOST: Final = 4096  # keys that are remembered, of each sort

_lock = make_lock()
_once: Final = BoundedDict[Hashable, None](_MOST)
# The time of the last warning, and how many there would have been since then.
_last: Final = BoundedDict[Hashable, tuple[float, int]](_MOST)


def is_first(key: Hashable) -> bool:
    """Return whether nothing was logged for this key so far."""
    if key in _once:
        return False
    with _lock:
        first = key not in _once
        _once.put(key, None)
    return first


def warn_once(key: Hashable, text: str, *values: object, target: str | None = None) -> None:
    """Log a warning, unless there was one with this key.

    Args:
        key: What the warning is about: its kind, and the names that its text has.
        text: The message, with ``%s`` for each value.
        values: The values.
        target: The target that it is about, for the fields of the record.
    """
    if is_first(key):
        _log.warning(text, *values, extra={"target": target} if target else None)


def count_suppressed(key: Hashable, now: float) -> int | None:
    """Count one event of a kind that is warned of once a minute.

    Returns:
        None if no warning is due, else the number of events since the last warning.
    """
    with _lock:
        last, count = _last.get(key, (float("-inf"), 0))
        due = not last <= now < last + _WARN_EVERY
        _last.put(key, (now, 0) if due else (last, count + 1))
    return count if due else None


def more_since_the_last(suppressed: int) -> str:
    """Return the end of a warning that is logged once a minute."""
    return f" ({suppressed} more since the last warning)" if suppressed else ""


def reset() -> None:
    """Forget which warnings were logged."""
    with _lock:
        _once.clear()
        _last.clear()


run_in_child(reset)
