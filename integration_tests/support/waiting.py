"""Waits for events that are sure to come: tests bound no event by less, since the machine may be busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 60.0
"""Seconds after which an event that is sure to come counts as missing."""


def wait_until(condition: Callable[[], object]) -> bool:
    """Wait until this is true; return False if it never is."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
