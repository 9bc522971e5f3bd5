"""What processes share through Redis: breakers, holds and model lists. Best effort; no call ever waits for it.

This process's own registry stays the authority, and answers at once. A thread in the background
(``sync_thread``) passes on what is found out here and takes in what others found out (``sync``), as small JSON values
that expire (``records``), by a handful of ``commands``. Nothing else in the package knows Redis, and it is imported
when it is configured.
"""

from __future__ import annotations

from importlib.util import find_spec

INSTALL = "pip install 'unified-llm[redis]'"
"""The command that a message recommends where the client of Redis is missing."""


def available() -> str | None:
    """Tell whether state can be shared.

    Returns:
        None if it can, else one sentence that says why not and what to do.
    """
    return None if find_spec("redis") else f"Shared state needs the client of Redis: run {INSTALL}."
