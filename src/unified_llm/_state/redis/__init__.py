"""Breakers, cooldowns and model lists shared through Redis. Best effort; no call ever waits for it.

The registry of this process stays the authority. A background thread (``sync_thread``) publishes health updates of this
process (``outbox``) and receives those of others (``sync``), as small JSON values (``records``) in two streams, one for
breakers and one for cooldowns, by a few ``commands``.
No other package imports the Redis client, and it is imported only where shared state is configured.
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
