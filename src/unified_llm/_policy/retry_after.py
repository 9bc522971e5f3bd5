"""Retry hints in a server's response headers: how long to wait, and whether to retry at all.

The order is that of the official SDKs: ``retry-after-ms``, ``x-ms-retry-after-ms``, ``retry-after`` (seconds or a date,
RFC 9110 section 10.2.3), then the reset times of exhausted rate limits. An implausible value (negative, NaN,
more than a day) is ignored. Dates are compared with the server's own ``date`` header, never with this machine's clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal, TypeAlias

from unified_llm._core.outcome import Failure

_DAY: Final = 86_400.0
# Seconds between two requests for the state of a job.
_SHORTEST_POLL: Final = 0.1
_LONGEST_POLL: Final = 60.0
# Durations as OpenAI writes them: ``1s``, ``6m0s``, ``120ms``, ``1h2m3.5s``.
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
# An instant beyond this many seconds since 1970 (the year 5138) is in milliseconds, as OpenRouter writes it.
_MILLISECONDS: Final = 1e11

Counted: TypeAlias = Literal["requests", "tokens", "input", "output"]
"""Unit of a limit: requests, all tokens, or those of the input or the output alone."""


@dataclass(frozen=True, slots=True)
class Hints:
    """Retry hints of one response.

    Attributes:
        retry_after: Seconds to wait.
        should_retry: The server's ``x-should-retry``, or None.
    """

    retry_after: float | None = None
    should_retry: bool | None = None


@dataclass(frozen=True, slots=True)
class RemainingLimit:
    """One limit of a server, with what is left of it.

    Attributes:
        counted: The unit.
        left: The number of units left.
        seconds: Seconds until the whole limit is back.
    """

    counted: Counted
    left: float
    seconds: float


def read(failure: Failure) -> Hints:
    """Read the hints of a failed exchange."""
    headers = failure.headers
    if not headers:
        return Hints(_plausible(failure.retry_after))
    should_retry = headers.get("x-should-retry", "")
    waits = (_read_retry_after(headers), _plausible(failure.retry_after), read_reset(headers))
    return Hints(
        retry_after=next((wait for wait in waits if wait is not None), None),
        should_retry={"true": True, "false": False}.get(should_retry.strip().lower()),
    )


def read_poll_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds after which OpenAI's API wants to be asked again about a job, from a tenth to a minute."""
    milliseconds = _plausible(_parse_number(headers.get("openai-poll-after-ms")))
    return None if milliseconds is None else min(max(milliseconds / 1000, _SHORTEST_POLL), _LONGEST_POLL)


def _read_retry_after(headers: Mapping[str, str]) -> float | None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = _parse_number(headers.get(name))
        if milliseconds is not None and (wait := _plausible(milliseconds / 1000)) is not None:
            return wait
    value = headers.get("retry-after")
    seconds = _parse_number(value)
    if seconds is not None or value is None:
        return _plausible(seconds)
    return _plausible(_seconds_between(headers.get("date"), value))


def read_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until every exhausted rate limit has recovered; None where none is exhausted.

    The names of the two headers of a limit differ in one word only, which stands before or after the limit's own name:
    ``x-ratelimit-remaining-tokens`` and ``x-ratelimit-reset-tokens`` (OpenAI, Azure, Groq ...),
    ``anthropic-ratelimit-input-tokens-remaining`` and ``-reset``, or ``x-ratelimit-remaining`` alone.
    """
    waits = [
        _parse_reset(headers[name.replace("remaining", "reset")], headers)
        for name, remaining in headers.items()
        if "ratelimit-" in name and "remaining" in name and _parse_number(remaining) == 0
        if name.replace("remaining", "reset") in headers
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def read_remaining(headers: Mapping[str, str]) -> list[RemainingLimit]:
    """Read each limit whose remaining number and time of reset the headers name. Names are as in ``read_reset``.

    Where it names limits of input and of output tokens, one of all tokens says nothing more: Anthropic's repeats the
    one of them that is closer to its end.
    """
    limits = [
        RemainingLimit(_counted(name), left, seconds)
        for name, remaining in headers.items()
        if "ratelimit-" in name and "remaining" in name
        if (left := _parse_number(remaining)) is not None and math.isfinite(left) and left >= 0
        if (reset := headers.get(name.replace("remaining", "reset"))) is not None
        if (seconds := _parse_reset(reset, headers))
    ]
    has_parts = any(limit.counted in {"input", "output"} for limit in limits)
    return [limit for limit in limits if not (has_parts and limit.counted == "tokens")]


def _counted(name: str) -> Counted:
    if "token" not in name:
        return "requests"
    return "input" if "input" in name else "output" if "output" in name else "tokens"


def _parse_reset(value: str, headers: Mapping[str, str]) -> float | None:
    number = _parse_number(value)
    if number is not None and number <= _DAY:
        return _plausible(number)
    date = _parse_date(headers.get("date"))
    if number is not None:  # since 1970
        instant = number / 1000 if number > _MILLISECONDS else number
        return _plausible(instant - date.timestamp()) if date else None
    if value.endswith("ms"):
        milliseconds = _parse_number(value[:-2])
        return _plausible(milliseconds / 1000) if milliseconds is not None else None
    match = _DURATION.fullmatch(value.strip())
    if match and any(match.groups()):
        return _plausible(
            sum(float(part or 0) * size for part, size in zip(match.groups(), (86400, 3600, 60, 1), strict=True))
        )
    return _plausible(_seconds_between(headers.get("date"), value))


def _seconds_between(date: str | None, later: str) -> float | None:
    start, end = _parse_date(date), _parse_date(later)
    return (end - start).total_seconds() if start and end else None


def _parse_date(value: str | None) -> datetime | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):  # Anthropic writes reset times as in RFC 3339
        with suppress(ValueError, OverflowError):  # a year of thirty digits overflows
            moment = parse(value or "")
            return moment if moment.tzinfo else None
    return None


def _parse_number(value: str | None) -> float | None:
    try:
        return float(value) if value is not None else None
    except ValueError:
        return None


def _plausible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) and 0 <= seconds <= _DAY else None
