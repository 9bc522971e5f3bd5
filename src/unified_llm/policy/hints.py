"""What a server's response headers ask for: when to come back, and whether to.

Order as the official SDKs read it: ``retry-after-ms``, ``x-ms-retry-after-ms``, ``retry-after`` (seconds or a date,
RFC 9110 section 10.2.3), then the reset times of exhausted rate limits. Nonsense (negative, NaN, beyond a day) is
no hint. Dates are compared with the server's own ``date`` header, never with this machine's clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from unified_llm.outcome import Failure

_A_DAY: Final = 86_400.0
# Durations as OpenAI writes them: ``1s``, ``6m0s``, ``120ms``, ``1h2m3.5s``.
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_RESETS: Final = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
)


@dataclass(frozen=True, slots=True)
class Hints:
    """``retry_after`` in seconds; ``should_retry`` as the server said, or None."""

    retry_after: float | None = None
    should_retry: bool | None = None


def read(failure: Failure) -> Hints:
    """The hints of a failed exchange."""
    headers = failure.headers
    if not headers:
        return Hints(_sensible(failure.retry_after))
    said = headers.get("x-should-retry")
    return Hints(
        retry_after=_retry_after(headers) or _sensible(failure.retry_after) or _reset(headers),
        should_retry={"true": True, "false": False}.get(said.strip().lower()) if said else None,
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = _number(headers.get(name))
        if milliseconds is not None:
            return _sensible(milliseconds / 1000)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return _sensible(seconds)
    return _sensible(_seconds_between(headers.get("date"), value))


def _reset(headers: Mapping[str, str]) -> float | None:
    waits = [_wait(headers[reset], headers) for left, reset in _RESETS if headers.get(left) == "0" and reset in headers]
    return max((wait for wait in waits if wait is not None), default=None)


def _wait(value: str, headers: Mapping[str, str]) -> float | None:
    number = _number(value)
    if number is not None and number <= _A_DAY:
        return _sensible(number)
    date = _http_date(headers.get("date"))
    if number is not None:  # seconds since 1970
        return _sensible(number - date.timestamp()) if date else None
    if value.endswith("ms"):
        milliseconds = _number(value[:-2])
        return _sensible(milliseconds / 1000) if milliseconds is not None else None
    match = _DURATION.fullmatch(value.strip())
    if match and any(match.groups()):
        return _sensible(
            sum(float(part or 0) * size for part, size in zip(match.groups(), (86400, 3600, 60, 1), strict=True))
        )
    return _sensible(_seconds_between(headers.get("date"), value))


def _seconds_between(date: str | None, later: str) -> float | None:
    start, end = _http_date(date), _http_date(later)
    return (end - start).total_seconds() if start and end else None


def _http_date(value: str | None) -> datetime | None:
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        try:
            moment = datetime.fromisoformat(value)  # RFC 3339, as Anthropic writes resets
        except ValueError:
            return None
    return moment if moment.tzinfo else None


def _number(value: str | None) -> float | None:
    try:
        return float(value) if value is not None else None
    except ValueError:
        return None


def _sensible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) and 0 <= seconds <= _A_DAY else None
