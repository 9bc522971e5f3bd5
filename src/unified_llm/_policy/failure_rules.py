"""Table of failure rules: for each kind of failure, what the policy may do next.

The table decides nothing about *when*: ``retry`` and ``failover`` do, from which targets are ready and how much time is
left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._policy.cooldowns import CooldownScope

# Seconds. A refused API key or an account without credit is rarely fixed within seconds.
API_KEY_COOLDOWN: Final = 300.0
# That of a key which a callable returns often is: a vault may have the next one a little after the last was refused.
FETCHED_KEY_COOLDOWN: Final = 30.0


@dataclass(frozen=True, slots=True)
class FailureRule:
    """Steps that the policy may take after a failure of one kind.

    Attributes:
        retry: The same target may be tried again.
        failover: Another target may be tried.
        weight: How many failures it counts for at the breaker; 0 where it shows nothing about the target's health. (A
            timeout by default limits counts for one, where the answer may only be long.)
        free: Nothing reached the provider, so a retry costs no budget.
        only_if_no_other_ready: Retry only while no other target is ready (retrying a hanging target costs the most).
        throttled: Back off as after throttling, and fail over at once where possible.
        cooldown: What gets no request for a while, from other calls too: the API key, or the rate limit.
        larger_window: Skip targets whose context window is known to be no larger.
        polled: It will answer: while no other target is ready, ask again every few seconds, as one attempt.
        uncounted: The attempt counts for no limit. With ``retry``, the target stays as if it had not been tried.
    """

    retry: bool = False
    failover: bool = True
    weight: int = 0
    free: bool = False
    only_if_no_other_ready: bool = False
    throttled: bool = False
    cooldown: CooldownScope | None = None
    larger_window: bool = False
    polled: bool = False
    uncounted: bool = False


_TRANSIENT: Final = FailureRule(retry=True, weight=1)

FAILURE_RULES: Final[Mapping[FailureKind, FailureRule]] = {
    # No answer.
    "connect": FailureRule(retry=True, weight=1, free=True),
    "tls": FailureRule(weight=1),
    "pool": FailureRule(retry=True, free=True, uncounted=True),
    "setup": FailureRule(),
    "unsendable": FailureRule(uncounted=True),  # a target whose format cannot carry this request is skipped
    "connection": _TRANSIENT,
    "stale": FailureRule(retry=True, uncounted=True),
    "timeout": FailureRule(retry=True, weight=2, only_if_no_other_ready=True),
    # A refusal.
    "auth": FailureRule(cooldown="api_key"),
    "permission": FailureRule(cooldown="api_key"),
    "quota": FailureRule(cooldown="api_key"),
    "rate_limit": FailureRule(retry=True, throttled=True, cooldown="rate_limit"),
    "model_not_found": FailureRule(),
    "not_found": FailureRule(),
    "redirect": FailureRule(),
    "bad_request": FailureRule(),
    "unsupported": FailureRule(),
    "context": FailureRule(larger_window=True),
    "too_large": FailureRule(),  # a limit in bytes or of a batch: nothing about a context window
    "filter": FailureRule(failover=False),
    "conflict": FailureRule(retry=True),
    "request_timeout": _TRANSIENT,
    "server": _TRANSIENT,
    "loading": FailureRule(polled=True),
    # An unusable answer.
    "malformed": _TRANSIENT,
    "empty": FailureRule(retry=True, only_if_no_other_ready=True),  # the model's doing, as ``invalid`` is
    "truncated": _TRANSIENT,
    "invalid": FailureRule(retry=True),  # the model's mistake, which shows nothing about its provider's health
    "oversized": FailureRule(weight=1),
}

# The target refused this request; another target may accept it. A call in which every target that was asked refused is
# the caller's to fix. In the field most of these are limits and states of one server: a model that is gone, a shorter
# window, a flag or a template that is missing.
REFUSALS: Final[frozenset[FailureKind]] = frozenset({"bad_request", "unsupported", "context", "too_large"})
# A list of texts that a target refused so may be accepted in parts, unless it was one of the texts.
_OF_SIZE_OR_INPUT: Final[frozenset[FailureKind]] = frozenset({"bad_request", "context", "too_large"})


def is_of_size_or_input(failure: Failure) -> bool:
    """Return whether a request was refused for its size or for what it contains."""
    return failure.about_input or failure.kind in _OF_SIZE_OR_INPUT


# An exchange that failed in one of these ways may be charged for: the provider may have done the work.
MAYBE_BILLED: Final[frozenset[FailureKind]] = frozenset(
    {"connection", "stale", "timeout", "malformed", "empty", "truncated", "invalid", "oversized"}
)
