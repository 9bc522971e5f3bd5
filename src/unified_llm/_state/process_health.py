"""The health registry of this process, and its snapshot and reset."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from unified_llm._core import repeated_warnings, runtime
from unified_llm._core.target import Target
from unified_llm._lib.swappable import Swappable
from unified_llm._observe import logs
from unified_llm._policy.health import Health
from unified_llm._policy.health_changes import ConditionChange, HealthChange
from unified_llm._state import learned_windows, process_limits, standby


def _on_change(change: HealthChange) -> None:
    if isinstance(change, ConditionChange):
        standby.current().note(change.key, current())
    else:
        logs.log_change(change)


_health: Final = Swappable(partial(Health, _on_change))
current = _health.current
HEALTH: Final = current()
"""The registry of the process, which ``current()`` returns except in ``apart``."""


def health_snapshot() -> list[dict[str, Any]]:
    """Return what this process knows of every target of its calls so far. No row has a key in it.

    Returns:
        One plain dict for each target, which ``json.dumps`` accepts; seconds are counted from now:

        - ``target``: its name, as in attempts and the log.
        - ``provider``, ``model``, ``host``: what it is; ``host`` has the port, and is None in this process.
        - ``state``: of its circuit breaker: ``closed``, ``open``, ``half_open`` (the next request is the probe).
        - ``consecutive_failures``: since the last success; a timeout counts twice. They open the breaker.
        - ``probe_in``: seconds until the breaker admits a probe; None while it is closed.
        - ``retry_in``: seconds until a request may be sent: no cooldown runs, and the breaker is not open.
        - ``reason``: why none is sent now; empty where one may be.
        - ``cooldowns``: those that run, each with its ``scope`` (``api_key``: all targets with the key, ``rate_limit``:
          all with the key, the model and the host, ``target``: this one), ``reason`` and ``seconds`` that are left.
        - ``rate_limit``: None where calls are not limited, or ``rpm`` and ``tpm`` (None where there is no such limit),
          ``available`` and ``available_tokens`` (what is left of them), ``waiting`` (calls that wait for their turn),
          and of the calls of batches ``in_flight``, and ``window``, the most of them that may be in flight.
        - ``calls``: requests sent to it, retries included, that have ended or whose stream has begun.
        - ``failures``, ``refused``: how many of them failed, and how many it refused (HTTP 400 and the like).
        - ``last_failure``: None, or ``kind``, ``status``, ``message``, ``at`` (ISO 8601, UTC), ``seconds_ago``, and
          ``elsewhere`` (another process saw it).
        - ``retry_budget``: tokens for retries, from 0 to 10. A retry takes one, a success at the first try adds a
          tenth, and below one the target is not retried.
        - ``standby``: None, or, while the model of the target is loaded because it is on standby, ``state``
          (``loading``, ``loaded``), ``reason`` (what happened to the primary), ``seconds`` since loading began, and
          ``unloaded_in``: seconds until it is unloaded, where the primary is back.

        Counts begin with the process, or with ``reset_health()``. Breakers are shown as the caller sees them who used
        the target last, who may have other settings and another key than others; ``cooldowns`` are those of every key
        that was used lately.
    """
    return _rows(None)


def health_of(targets: Iterable[Target]) -> list[dict[str, Any]]:
    """Return the same for these targets, in their order, by their own names, keys and settings, used or not."""
    return _rows(targets)


def _rows(targets: Iterable[Target] | None) -> list[dict[str, Any]]:
    using = runtime.current()
    now = using.now()
    rows = current().snapshot(now, targets, limits=process_limits.current())
    wall = using.wall()
    for row in rows:
        if last := row.get("last_failure"):
            at = datetime.fromtimestamp(wall - last["seconds_ago"], UTC)
            last["at"] = at.isoformat(timespec="seconds")
        row["standby"] = standby.current().describe(row["target"], now)
    return rows


def reset_health() -> None:
    """Drop every outcome, breaker, budget, cooldown and learned context window of this process."""
    current().reset()
    learned_windows.current().reset()
    process_limits.current().reset()
    repeated_warnings.reset()


@contextmanager
def apart() -> Generator[None]:
    """Use an empty registry for the calls that begin in this block; they change nothing outside of it."""
    with _health.apart(), learned_windows.apart(), process_limits.apart(), standby.apart():
        yield


for _public in (health_snapshot, reset_health):
    _public.__module__ = "unified_llm"  # where users import them from
