"""The health registry of this process, and its snapshot and reset."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Final

from unified_llm._core import runtime
from unified_llm._core.target import Target
from unified_llm._lib import fork_safe
from unified_llm._observe import logs
from unified_llm._policy.health import Health
from unified_llm._state import learned_windows

HEALTH: Final = Health(logs.log_breaker)
_apart: Health | None = None
fork_safe.run_in_child(logs.reset_warnings)


def current() -> Health:
    """Return the registry in use: that of the process, except in ``apart``."""
    return HEALTH if _apart is None else _apart


def health_snapshot() -> list[dict[str, Any]]:
    """Return what this process knows of every target that it has sent a request to.

    Returns:
        One plain dict for each: ``target``, ``state`` (``closed``, ``open``, ``half_open``), ``failures`` in a row,
        ``refused`` (requests that it refused, by HTTP 400 and the like, since the process started), ``retry_budget``
        (tokens, 10 when full), ``retry_in`` (seconds until a request may be sent: until an open
        breaker lets a probe through and no cooldown runs), ``cooldown`` (seconds that a cooldown of the key, the rate
        limit or the server still runs), ``reason`` (why no request is sent; empty where one may be). All of it is as
        the caller sees it who used the target last: breakers are judged by ``BreakerConfig`` and timeouts, and a
        cooldown holds an account.
    """
    return current().snapshot(runtime.current().now())


def health_of(targets: Iterable[Target]) -> list[dict[str, Any]]:
    """Return the same for these targets, by their own names: another client may call one of them differently."""
    return current().snapshot(runtime.current().now(), targets)


def reset_health() -> None:
    """Drop every outcome, breaker, budget, cooldown and learned context window of this process."""
    current().reset()
    learned_windows.current().reset()
    logs.reset_warnings()


@contextmanager
def apart() -> Generator[None]:
    """Use an empty registry for the calls that begin in this block; they change nothing outside of it."""
    global _apart  # noqa: PLW0603 - set here alone
    before, _apart = _apart, Health(logs.log_breaker)
    try:
        with learned_windows.apart():
            yield
    finally:
        _apart = before


for _public in (health_snapshot, reset_health):
    _public.__module__ = "unified_llm"  # where users import them from
