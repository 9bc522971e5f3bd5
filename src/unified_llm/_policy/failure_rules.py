"""From the kind of a failure to what follows from it.

One table, read from top to bottom. It decides nothing about *when*: that is ``failover``'s, which knows what other
targets are ready and how much time is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from unified_llm._core.outcome import FailureKind

Scope: TypeAlias = Literal["credentials", "limit"]

# A refused key or an empty purse rarely mends itself within seconds.
CREDENTIALS_HOLD: Final = 300.0


@dataclass(frozen=True, slots=True)
class FailureRule:
    """What follows from a failure.

    Attributes:
        retry: The same target may be asked again.
        failover: Another target may be asked.
        weight: How many failures it counts for at the breaker; 0 where it says nothing of the target's health.
        free: Nothing reached the provider, so a retry costs no budget.
        only_if_alone: Retry only while no other target is ready (asking a hanging target again costs the most).
        throttled: Back off as after throttling, and fail over at once where possible.
        hold: What is to be left alone for a while, beyond this call.
        larger_window: Fail over only to targets whose context window is larger.
    """

    retry: bool = False
    failover: bool = True
    weight: int = 0
    free: bool = False
    only_if_alone: bool = False
    throttled: bool = False
    hold: Scope | None = None
    larger_window: bool = False


_BLIP: Final = FailureRule(retry=True, weight=1)
_RAISE: Final = FailureRule(failover=False)

FAILURE_RULES: Final[Mapping[FailureKind, FailureRule]] = {
    "connect": FailureRule(retry=True, weight=1, free=True),
    "tls": FailureRule(weight=1),
    "pool": FailureRule(retry=True, free=True),
    "unsendable": _RAISE,
    "connection": _BLIP,
    "timeout": FailureRule(retry=True, weight=2, only_if_alone=True),
    "auth": FailureRule(hold="credentials"),
    "permission": FailureRule(hold="credentials"),
    "quota": FailureRule(hold="credentials"),
    "rate_limit": FailureRule(retry=True, throttled=True, hold="limit"),
    "model_not_found": FailureRule(),
    "not_found": FailureRule(),
    "redirect": FailureRule(),
    "bad_request": _RAISE,
    "unsupported": FailureRule(),
    "context": FailureRule(larger_window=True),
    "too_large": FailureRule(larger_window=True),
    "filter": _RAISE,
    "conflict": FailureRule(retry=True),
    "request_timeout": _BLIP,
    "server": _BLIP,
    "malformed": _BLIP,
    "empty": _BLIP,
    "truncated": _BLIP,
    "invalid": FailureRule(retry=True),  # a mistake of the model's, which says nothing of its provider's health
    "oversized": FailureRule(weight=1),
}

# An exchange that failed in one of these ways may be charged for: the provider may have done the work.
MAYBE_BILLED: Final[frozenset[FailureKind]] = frozenset(
    {"connection", "timeout", "malformed", "empty", "truncated", "invalid", "oversized"}
)
