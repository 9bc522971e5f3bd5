"""Cooldowns: instants before which an API key, a rate limit or a target gets no request.

A server may ask for any pause, and many ask for a day; no cooldown lasts longer than five minutes. The request after it
is the probe: where the server still refuses, its response starts the cooldown again.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from unified_llm._lib.expiring_dict import ExpiringDict

CooldownScope: TypeAlias = Literal["api_key", "rate_limit", "target"]
"""What gets no request: any target with the API key, any with the rate limit, or the one target."""

MAX_COOLDOWN: Final = 300.0
"""Seconds that a cooldown lasts at most."""

_MAX_COOLDOWNS: Final = 4096


@dataclass(frozen=True, slots=True)
class Refusal:
    """No request should go to the target now.

    Attributes:
        until: The instant at which one may, as far as is known.
        reason: Text for the trace and the log.
        wait: Whether to wait until then (a rate limit), or rather to try anyway (an open breaker).
    """

    until: float
    reason: str
    wait: bool


class Cooldowns:
    """Cooldowns by key: at most 4,096, of which those that end first are dropped first. Its owner holds the lock."""

    def __init__(self) -> None:
        self._refusals: ExpiringDict[Hashable, Refusal] = ExpiringDict(_MAX_COOLDOWNS)

    def __len__(self) -> int:
        return len(self._refusals)

    def start(self, key: Hashable, until: float, reason: str, *, wait: bool, now: float) -> Refusal | None:
        """Start or prolong a cooldown; return it, or None where one that runs is at least as long.

        One that is cut to five minutes is not waited for: the server asked for more.
        """
        if until > now + MAX_COOLDOWN:
            until, wait = now + MAX_COOLDOWN, False
        current = self._refusals.get(key)
        if current is not None and current.until >= until:
            return None
        started = Refusal(until, reason, wait)
        self._refusals.put(key, started, until)
        return started

    def get(self, key: Hashable, now: float) -> Refusal | None:
        """Return the cooldown of a key, if one runs."""
        refusal = self._refusals.get(key)
        return refusal if refusal is not None and refusal.until > now else None

    def find(self, keys: Iterable[Hashable], now: float) -> Refusal | None:
        """Return the first cooldown of these keys that runs; drop those that are over."""
        if not self._refusals:
            return None
        for key in keys:
            refusal = self._refusals.get(key)
            if refusal is None:
                continue
            if refusal.until > now:
                return refusal
            self._refusals.pop(key)
        return None

    def clear(self) -> None:
        """Remove all."""
        self._refusals.clear()
