"""The one courier between the registry of this process and those of others, if state is shared at all.

Without ``configure(state=...)`` nothing of ``_state/redis/`` is loaded.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from unified_llm._core import defaults, runtime
from unified_llm._policy.health_updates import HealthUpdate
from unified_llm._state.process_health import HEALTH

if TYPE_CHECKING:
    from unified_llm._state.redis.sync_thread import SyncThread
    from unified_llm._state.redis.url import Address

_lock = threading.Lock()
_courier: SyncThread | None = None


def courier() -> SyncThread | None:
    """Who brings what other processes know; None where nothing is shared, or all is played by a test.

    Raises:
        ConfigurationError: The environment variable ``UNIFIED_LLM_STATE`` holds no address of Redis.
    """
    return None if runtime.current().exchange else attach()


def attach() -> SyncThread | None:
    """Put to work whoever is configured now, in place of whoever was before.

    Raises:
        ConfigurationError: As above.
    """
    global _courier  # noqa: PLW0603 - the one courier of the process, set here alone
    address, found = defaults.default("state"), _courier
    if _address_of(found) == address:
        return found
    with _lock:
        if _address_of(_courier) != address:
            if _courier:
                _courier.stop()
            _courier = _make(address) if address else None
            HEALTH.attach(_courier)
        return _courier


def begin() -> None:
    """Listen to other processes from now on, if that is configured: this process is about to make calls."""
    if found := courier():
        found.wake()


def _address_of(found: SyncThread | None) -> Address | None:
    return found.address if found else None


def _make(address: Address) -> SyncThread:
    from unified_llm._state.redis.sync_thread import SyncThread

    return SyncThread(address, _learn, HEALTH.catch_up)


def _learn(fact: HealthUpdate) -> None:
    world = runtime.current()
    HEALTH.learn(fact, world.now(), world.random())


def _renew() -> None:
    """In a forked child: the lock may have been held by a thread that does not exist here."""
    global _lock  # noqa: PLW0603 - as above
    _lock = threading.Lock()
    if _courier:
        _courier.renew()


def _finish() -> None:
    if _courier:
        _courier.finish()


atexit.register(_finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
