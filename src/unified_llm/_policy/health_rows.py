"""Rows of the snapshot: the health of a target as a plain dict (``process_health.health_snapshot`` explains it)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final

from unified_llm._core.base_url import netloc_of
from unified_llm._core.target import Target
from unified_llm._policy.cooldowns import Cooldowns
from unified_llm._policy.rate_limits import RateLimits
from unified_llm._policy.target_health import COOLDOWN_SCOPES, CooldownKeys, TargetHealth, cooldown_keys

BREAKER_OPEN: Final = "circuit breaker open"
PROBING: Final = "circuit breaker half-open, its probe is in progress"


def describe(
    key: Hashable,
    health: TargetHealth,
    target: Target | None,
    *,
    cooldowns: Cooldowns,
    limits: RateLimits | None,
    now: float,
) -> dict[str, Any]:
    """Describe a target, as one caller sees it.

    Args:
        key: Its ``health_key``.
        health: What is known of it.
        target: The target as the caller configured it; None for the caller who used it last.
        cooldowns: All that run.
        limits: Has what is known of its rate limit.
        now: The current instant.
    """
    limit_key = (health.cooldown_keys if target is None else cooldown_keys(target))[1:2]
    accounts = health.accounts if target is None else (cooldown_keys(target),)
    running = _running(accounts, cooldowns, now)
    return {
        "target": target.name if target else health.name,
        **_place(key),
        **_routing(health, target, cooldowns, now),
        "cooldowns": running,
        "rate_limit": limits.describe(limit_key[0], now) if limits and limit_key else None,
        "calls": health.calls,
        "failures": health.failures,
        "refused": health.refused,
        "last_failure": _last_failure(health, now),
        "retry_budget": round(health.budget.tokens, 1),
    }


def _place(key: Hashable) -> dict[str, str | None]:
    match key:
        case (str(provider), str(url), str(model), *_):
            return {"provider": provider, "model": model, "host": netloc_of(url) or None}
        case _:  # from another process, and none of ours
            return {"provider": None, "model": None, "host": None}


def _routing(health: TargetHealth, target: Target | None, cooldowns: Cooldowns, now: float) -> dict[str, Any]:
    """Return the state of the breaker, and when and why the next request may be sent."""
    breaker = health.shown_breaker(target)
    state, until, reason = breaker.state(now), breaker.open_until, ""
    if state == "open":
        reason = BREAKER_OPEN
    elif state == "half_open" and not health.would_admit(breaker, now):
        reason = PROBING
    wait = probe_in = _seconds_left(until, now)
    for key in health.cooldown_keys if target is None else cooldown_keys(target):
        cooldown = cooldowns.get(key, now)
        if cooldown and _seconds_left(cooldown.until, now) >= wait:
            wait, reason = _seconds_left(cooldown.until, now), cooldown.reason
    return {
        "state": state,
        "consecutive_failures": breaker.consecutive_failures,
        "probe_in": None if until is None else probe_in,
        "retry_in": wait,
        "reason": reason,
    }


def _running(accounts: Iterable[CooldownKeys], cooldowns: Cooldowns, now: float) -> list[dict[str, Any]]:
    """Return the cooldowns of some accounts that run, each once."""
    scopes = {key: scope for keys in accounts for key, scope in zip(keys, COOLDOWN_SCOPES, strict=False)}
    return [
        {"scope": scope, "reason": cooldown.reason, "seconds": _seconds_left(cooldown.until, now)}
        for key, scope in scopes.items()
        if (cooldown := cooldowns.get(key, now))
    ]


def _last_failure(health: TargetHealth, now: float) -> dict[str, Any] | None:
    last = health.last_failure
    if last is None:
        return None
    return {
        "kind": last.kind,
        "status": last.status,
        "message": last.sentence,
        "seconds_ago": max(0.0, round(now - last.at, 3)),
        "elsewhere": last.elsewhere,
    }


def _seconds_left(until: float | None, now: float) -> float:
    return 0.0 if until is None else max(0.0, round(until - now, 3))
