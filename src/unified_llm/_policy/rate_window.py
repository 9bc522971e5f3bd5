"""Requests and tokens of the last minute, and of turns to come: what ``rpm`` and ``tpm`` are kept by.

A turn is the instant at which a request may be sent. Turns are given in the order in which they are asked for, each at
the first instant at which the minute before it has room, so that of many calls that wait each wakes once::

    limit 3     |<---------- 60.5 s ----------->|
    ------------1--2-----3----------------------4--5-----6----> time
                ^ sent at once                  ^ turns that were given to calls which wait for them

The window slides: in no minute, wherever it begins, are more requests sent than the limit says. Tokens are counted as
an estimate, and later as they were used. A turn that its call does not use is given to the next one that asks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 60.5
"""Seconds that a request counts: a minute, and what the first request of a connection may take longer than others."""


# The least part of a limit by which calls are spread: a process gets more of it as soon as others see that it wants it.
_LEAST_PART: Final = 0.02


@dataclass(slots=True, eq=False)
class Turn:
    """The instant at which a call may send a request to a target.

    Attributes:
        at: The instant.
        tokens: The tokens that are counted for it: an estimate, then those that were used.
        counts: It is in the window: one request, and its tokens.
        room: The tokens that a call which takes over this turn may have.
    """

    at: float
    tokens: int
    counts: bool = False
    room: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """What a target may get within a window.

    Attributes:
        requests: The most requests; None for no limit.
        tokens: The most tokens; None for no limit.
        part: The part of the limit that this process has, of which ``requests`` and ``tokens`` may be more or less.
        whole: The limit of all processes together.
        window: The seconds for which a request counts.
    """

    requests: int | None
    tokens: int | None
    part: float = 1.0
    whole: tuple[int | None, int | None] = (None, None)
    window: float = WINDOW

    def allows(self, requests: int, used: int, tokens: int) -> bool:
        """Return whether a request with so many tokens may be sent, where others count already."""
        by_requests = self.requests is None or requests < self.requests
        return by_requests and (self.tokens is None or used + tokens <= self.tokens or used <= 0)

    def spacing(self, tokens: int) -> float:
        """Return the seconds between two such requests where they are spread evenly."""
        rpm, tpm = self.whole
        by_requests = self.window / rpm if rpm else 0.0
        by_tokens = self.window * min(1.0, tokens / tpm) if tpm else 0.0
        return max(by_requests, by_tokens) / max(self.part, _LEAST_PART)


class RateWindow:
    """The turns at one rate limit. Its owner holds the lock.

    Attributes:
        requests: Requests in the window, those of turns to come included.
        tokens: Their tokens.
    """

    def __init__(self) -> None:
        self.requests = self.tokens = 0
        self._turns: deque[Turn] = deque()
        self._unused: list[Turn] = []  # turns to come that were given back
        self._last = float("-inf")

    def next_turn(self, at: float, limit: Limit, tokens: int) -> float:
        """Return the first instant from ``at`` on at which a request with so many tokens has its turn.

        One that is larger than the whole limit has its turn when nothing else counts.
        """
        if unused := self._find_unused(at, tokens):
            return unused.at
        at = max(at, self._last)
        requests, used = self.requests, self.tokens
        for turn in self._turns:
            if turn.at > at - limit.window:  # it still counts at that instant
                if limit.allows(requests, used, tokens):
                    break
                at = turn.at + limit.window
            if turn.counts:
                requests, used = requests - 1, used - turn.tokens
        return at

    def take(self, at: float, tokens: int) -> Turn:
        """Take the turn that ``next_turn`` returned."""
        turn = self._find_unused(at, tokens)
        if turn is not None and turn.at == at:
            self._unused.remove(turn)
            turn = self._replace(turn, tokens)
        else:
            turn = Turn(at, tokens, counts=True)
            self._turns.append(turn)
            self._last = max(self._last, at)
        self.requests += 1
        self.tokens += tokens
        return turn

    def send(self, turn: Turn, now: float, limit: Limit) -> float | None:
        """Count the request of a turn that is due as sent now; or return a later turn, where others were sent late."""
        since = now - limit.window
        others = [other for other in self._turns if other is not turn and other.counts and since < other.at <= now]
        requests, used, at = len(others), sum(other.tokens for other in others), now
        for other in sorted(others, key=lambda other: other.at):
            if limit.allows(requests, used, turn.tokens):
                break
            at = other.at + limit.window
            requests, used = requests - 1, used - other.tokens
        turn.at = at
        self._last = max(self._last, at)
        return at if at > now else None

    def settle(self, turn: Turn, tokens: int) -> None:
        """Count the tokens that were used in place of the estimate."""
        if turn.counts:
            self.tokens += tokens - turn.tokens
            turn.tokens = tokens

    def give_back(self, turn: Turn, now: float) -> None:
        """Count a request no longer: it was not sent. A turn to come goes to the next call that asks for one."""
        if not turn.counts:
            return
        turn.counts = False
        self.requests -= 1
        self.tokens -= turn.tokens
        if turn.at > now:
            turn.room = turn.tokens
            self._unused.append(turn)

    def used(self, now: float) -> tuple[int, int]:
        """Return the requests that were sent and count, and their tokens."""
        sent = [turn.tokens for turn in self._turns if turn.counts and turn.at <= now]
        return len(sent), sum(sent)

    def forget_before(self, now: float, window: float = WINDOW) -> None:
        """Drop the turns that no longer count."""
        until = now - window
        while self._turns and self._turns[0].at <= until:
            turn = self._turns.popleft()
            if turn.counts:
                turn.counts = False
                self.requests -= 1
                self.tokens -= turn.tokens
        if self._unused:
            self._unused = [turn for turn in self._unused if turn.at >= now]

    def _find_unused(self, at: float, tokens: int) -> Turn | None:
        fitting = (turn for turn in self._unused if turn.at >= at and tokens <= turn.room)
        return min(fitting, key=lambda turn: turn.at, default=None)

    def _replace(self, unused: Turn, tokens: int) -> Turn:
        """Put a turn in the place of one that was given back, whose call may still have the object."""
        turn = Turn(unused.at, tokens, counts=True)
        self._turns[self._turns.index(unused)] = turn
        return turn
