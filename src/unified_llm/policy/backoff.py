"""How long to wait before asking the same target again: full jitter, with separate bases.

Full jitter (a uniform draw up to an exponentially growing bound) spreads clients that failed together better than
equal or no jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
"""

from __future__ import annotations

from typing import Final

from unified_llm.target import Retry

# A blip is over in a moment; throttling is not. botocore keeps the two apart for the same reason.
_BLIP: Final = 0.25
# The exponent is bounded, since 2.0**1024 overflows.
_STEEPEST: Final = 30
# Clients that were told the same Retry-After must not come back in the same instant.
_SPREAD: Final = 0.1


def delay(retry: Retry, retries: int, draw: float, *, throttled: bool, hint: float | None = None) -> float:
    """Seconds to wait.

    Args:
        retry: The target's settings.
        retries: How many retries have been made before this one.
        draw: A uniform draw from 0 to 1.
        throttled: The target asked for fewer requests.
        hint: The server's own word (Retry-After), which is the least that is waited.
    """
    base = retry.delay if throttled else retry.delay * _BLIP
    jittered = draw * min(retry.delay_max, base * retry.factor ** min(retries, _STEEPEST))
    if hint is None:
        return jittered
    return max(hint, jittered) + spread(hint, draw)


def spread(wait: float, draw: float) -> float:
    """Seconds to add to a wait that others were told as well."""
    return draw * _SPREAD * wait
