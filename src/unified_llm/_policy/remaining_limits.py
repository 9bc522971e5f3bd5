"""Remaining limits of a server, from the headers of its last response: as a number of requests, and as a pace.

Most limits are reached by their tokens. What is left of these is divided by what a request took lately, so that a limit
of tokens holds requests back as one of requests does, before the first 429::

    x-ratelimit-remaining-requests: 480     reset 2 s
    x-ratelimit-remaining-tokens: 30000     reset 50 s     1,500 tokens a request: 20 requests, one each 2.5 s
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unified_llm._core.seconds import FOREVER
from unified_llm._core.usage_sums import sum_tokens
from unified_llm._policy import retry_after
from unified_llm.types.records import Usage

SLACK: Final = 0.05
"""Seconds that a limit may be back later than a server says, which rounds."""

# Seconds. Requests are spread over what is left of an hour, with no longer pauses than that; what is left of a day need
# not be spread over the day.
_LONGEST_SPAN: Final = 3600.0
_LONGEST_PAUSE: Final = 60.0
_NEW_SHARE: Final = 0.2  # of the last request in what requests take


class RemainingLimits:
    """Remaining limits of one server. The owner holds the lock.

    Attributes:
        closed_until: The instant before which it accepts nothing, as it says.
    """

    def __init__(self) -> None:
        self.closed_until = float("-inf")
        self._requests = FOREVER
        self._pace = 0.0
        self._until = float("-inf")
        self._taken: dict[retry_after.Counted, float] = {"requests": 1.0}  # by a request, lately

    def note(self, headers: Mapping[str, str], usage: Usage | None, sent: float) -> None:
        """Note the headers of a response to a request that was sent at an instant; it is counted in them."""
        if usage is not None:
            self._note_usage(usage)
        if not headers:
            return
        limits = [
            (limit.left / taken, limit.seconds)
            for limit in retry_after.read_remaining(headers)
            if (taken := self._taken.get(limit.counted))
        ]
        if not limits:
            return
        spread = [(left, seconds) for left, seconds in limits if seconds <= _LONGEST_SPAN]
        self._requests = min(left for left, _ in limits)
        self._pace = min(_LONGEST_PAUSE, max((seconds / max(1.0, left) for left, seconds in spread), default=0.0))
        self._until = sent + SLACK + max((seconds for _, seconds in spread), default=_LONGEST_PAUSE)
        pauses = (seconds for left, seconds in spread if left < 1 and seconds <= _LONGEST_PAUSE)
        self.closed_until = sent + SLACK + max(pauses, default=float("-inf"))

    def requests(self, now: float) -> float:
        """Return how many more requests it accepts; ``FOREVER`` where that is not known."""
        return self._requests if now < self._until else FOREVER

    def pace(self, now: float) -> float:
        """Return the seconds between two requests, spread over the time until its limits are back; 0 for none."""
        return self._pace if now < self._until else 0.0

    def _note_usage(self, usage: Usage) -> None:
        # Anthropic, which alone has a limit of input tokens, does not count in it what was read from its cache:
        # https://docs.claude.com/en/api/rate-limits
        taken: tuple[tuple[retry_after.Counted, int], ...] = (
            ("tokens", sum_tokens(usage)),
            ("input", max(0, usage.prompt_tokens - usage.cached_tokens)),
            ("output", usage.completion_tokens),
        )
        for counted, tokens in taken:
            before = self._taken.get(counted, float(tokens))
            self._taken[counted] = (1 - _NEW_SHARE) * before + _NEW_SHARE * tokens
