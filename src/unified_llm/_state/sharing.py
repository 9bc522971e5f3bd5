"""The one thread that exchanges health, model lists and leases of rate limits with other processes, if it is wanted.

Without ``configure(state=...)`` nothing of ``_state/redis/`` is loaded.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from unified_llm._core import defaults, runtime
from unified_llm._core.environment import source_of, variable
from unified_llm._lib.fork_safe import make_lock, run_in_child
from unified_llm._policy.health_updates import HealthUpdate
from unified_llm._state.process_health import HEALTH
from unified_llm._state.process_limits import LIMITS

if TYPE_CHECKING:
    from unified_llm._state.redis.sync_thread import SyncThread
    from unified_llm._state.redis.url import RedisURL

_VARIABLE: Final = "UNIFIED_LLM_STATE"

_lock = make_lock()
_sync_thread: SyncThread | None = None


def sync_thread() -> SyncThread | None:
    """Return the thread that syncs with other processes; None where nothing is shared, or a test simulates backends.

    Raises:
        ConfigurationError: The environment variable ``UNIFIED_LLM_STATE`` holds no Redis URL.
    """
    return None if runtime.current().exchange else attach()


def attach() -> SyncThread | None:
    """Start syncing with the state that is configured now, in place of the one before.

    Raises:
        ConfigurationError: As above.
    """
    global _sync_thread  # noqa: PLW0603 - the one thread of the process, set here alone
    url, thread = _configured_url(), _sync_thread
    if _url_of(thread) == url:
        return thread
    with _lock:
        if _url_of(_sync_thread) != url:
            if _sync_thread:
                _sync_thread.stop()
            _sync_thread = _make(url) if url else None
            HEALTH.set_publisher(_sync_thread)
            LIMITS.share(shared=_sync_thread is not None)
        return _sync_thread


def begin() -> None:
    """Start receiving from other processes, if that is configured: this process is about to make calls."""
    if thread := sync_thread():
        thread.wake()


def catch_up(timeout: float) -> None:
    """Wait until this process knows what others shared before it started; ``timeout`` seconds at most.

    Raises:
        ConfigurationError: As above.
    """
    if thread := sync_thread():
        thread.wait_for_first_poll(timeout)


def _configured_url() -> RedisURL | None:
    """Return the URL of the shared state: of ``configure()``, the environment, the file. No frame has it as a text."""
    url: RedisURL | None = defaults.configured("state")
    if url is None and variable(_VARIABLE):
        return _checked_url()(variable(_VARIABLE) or "", source_of(_VARIABLE))
    return url or defaults.of_file("state")


@cache
def _checked_url() -> Callable[[str, str], RedisURL]:
    from unified_llm._state.redis.url import RedisURL

    return lru_cache(1)(RedisURL)  # checking it takes a while, and every client looks here


def _url_of(thread: SyncThread | None) -> RedisURL | None:
    return thread.url if thread else None


def _make(url: RedisURL) -> SyncThread:
    from unified_llm._state.redis.sync_thread import SyncThread

    return SyncThread(url, _learn, HEALTH.apply_outcomes, LIMITS)


def _learn(update: HealthUpdate) -> None:
    current = runtime.current()
    HEALTH.apply_update(update, current.now(), current.random())


def _renew() -> None:
    """Give a forked child a thread of its own."""
    if _sync_thread:
        _sync_thread.renew()


def _finish() -> None:
    if _sync_thread:
        _sync_thread.finish()


atexit.register(_finish)
run_in_child(_renew)
