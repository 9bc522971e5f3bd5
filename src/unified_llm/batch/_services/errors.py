"""What an error of a request to a batch service means for its batch."""

from __future__ import annotations

from typing import Final

from unified_llm._policy.failure_rules import FAILURE_RULES, REFUSALS
from unified_llm.exceptions import LLMError

_UNSENT: Final = frozenset({"connect", "tls", "pool", "setup", "unsendable", "skipped"})
_GONE: Final = frozenset({404, 410})


def kind_of(error: LLMError) -> str:
    """Return the kind of the last failure; ``skipped`` where nothing was sent."""
    return error.attempts[-1].outcome if error.attempts else "skipped"


def is_gone(error: LLMError) -> bool:
    """Return whether the provider has no such batch, or no such file, any more."""
    return error.status_code in _GONE


def is_refusal(error: LLMError) -> bool:
    """Return whether the same request would be refused again."""
    kind = kind_of(error)
    rule = FAILURE_RULES.get(kind)  # type: ignore[call-overload]
    return rule is not None and not (rule.retry or rule.polled or kind in _UNSENT)


def is_of_batch(error: LLMError) -> bool:
    """Return whether this batch was refused, and others may be taken: its model has none, a request in it is wrong."""
    kind = kind_of(error)
    return kind in REFUSALS or kind in {"model_not_found", "filter"}


def is_for_now(error: LLMError) -> bool:
    """Return whether a batch was certainly not begun, and may be begun later."""
    return kind_of(error) in _UNSENT | {"rate_limit"}
