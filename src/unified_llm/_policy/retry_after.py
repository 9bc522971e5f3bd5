"""What a server's response headers ask for: when to come back, and whether to.

Order as the official SDKs read it: ``retry-after-ms``, ``x-ms-retry-after-ms``, ``retry-after`` (seconds or a date,
RFC 9110 section 10.2.3), then the reset times of exhausted rate limits. Nonsense (negative, NaN, beyond a day) is
no hint. Dates are compared with the server's own ``date`` header, never with this machine's clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from unified_llm._core.outcome import Failure

_A_DAY: Final = 86_400.0
# Durations as OpenAI writes them: ``1s``, ``6m0s``, ``120ms``, ``1h2m3.5s``.
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
# A later instant than this, in seconds since 1970, is one in milliseconds, as OpenRouter writes it: 5138 AD.
_MILLISECONDS: Final = 1e11


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
    said = headers.get("x-should-retry", "")
    waits = (_retry_after(headers), _sensible(failure.retry_after), reset(headers))
    return Hints(
        retry_after=next((wait for wait in waits if wait is not None), None),
        should_retry={"true": True, "false": False}.get(said.strip().lower()),
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = _number(headers.get(name))
        if milliseconds is not None and (wait := _sensible(milliseconds / 1000)) is not None:
            return wait
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return _sensible(seconds)
    return _sensible(_seconds_between(headers.get("date"), value))


def reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until every rate limit that is used up has recovered; None where none is.

    Providers name the two headers of a limit alike but for one word, before or after the limit's own name:
    ``x-ratelimit-remaining-tokens`` and ``x-ratelimit-reset-tokens`` (OpenAI, Azure, Groq ...),
    ``anthropic-ratelimit-input-tokens-remaining`` and ``-reset``, or ``x-ratelimit-remaining`` alone.
    """
    waits = [
        _wait(headers[name.replace("remaining", "reset")], headers)
        for name, left in headers.items()
        if "ratelimit-" in name and "remaining" in name and _number(left) == 0
        if name.replace("remaining", "reset") in headers
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _wait(value: str, headers: Mapping[str, str]) -> float | None:
    number = _number(value)
    if number is not None and number <= _A_DAY:
        return _sensible(number)
    date = _http_date(headers.get("date"))
    if number is not None:  # since 1970
        instant = number / 1000 if number > _MILLISECONDS else number
        return _sensible(instant - date.timestamp()) if date else None
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
    for read in (parsedate_to_datetime, datetime.fromisoformat):  # RFC 3339 is how Anthropic writes resets
        with suppress(ValueError, OverflowError):  # a year of thirty digits overflows
            moment = read(value or "")
            return moment if moment.tzinfo else None
    return None


def _number(value: str | None) -> float | None:
    try:
        return float(value) if value is not None else None
    except ValueError:
        return None


def _sensible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) and 0 <= seconds <= _A_DAY else None
