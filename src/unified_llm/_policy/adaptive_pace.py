"""How fast the calls of a batch are sent to one rate limit: as fast as the server accepts them.

Two numbers adapt. The *window* is how many requests may be in flight: it grows with each success, and a 429 halves it,
once for all requests that were in flight. The *pace* is the time between two requests; it is learned from a 429::

      requests accepted       429     pause      probe: accepted
    |--|-|-|--|-|-|-|---------|x|-----------------|--|--|--|--|--|-----> time
    |<---------- so many in this time ----------->|  then one at a time, at that pace

During the pause nothing is sent; it lasts for as long as the server asks, else it doubles from one second on. The probe
after it is one request. Most limits are by the minute, and begin at a minute of the server's own clock. So where a
pause was long and the server does not say when its limit is back, what was accepted is taken for what a minute allows.

A pace that was learned holds for a time, the longer the more often it was confirmed, and then grows slowly. A server
that tells what is left of its limit, and when it is back, is sent no more than that.

The numbers come from a simulation of servers with 60 requests a minute: fixed and sliding windows, token buckets, one
request a second; with and without Retry-After and headers; 5 to 100 calls at once, responses after 0.05 to 5 s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from unified_llm._core.seconds import FOREVER
from unified_llm._policy.remaining_limits import SLACK, RemainingLimits
from unified_llm.types.records import Usage

# Requests in flight at first: so many are refused at once where a limit is reached with the first ones.
_FIRST_WINDOW: Final = 8.0
_GROWTH: Final = 0.125
_LARGEST_WINDOW: Final = 4096.0
# Seconds: the span of most limits, and the pause after which one is taken to have it.
_MINUTE: Final = 60.0
_LONG_PAUSE: Final = 5.0
# What was accepted within the span is what the pace allows, less this share.
_MARGIN: Final = 0.02
# Seconds of a pause where the server names none; it doubles.
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
# Seconds for which a learned pace holds: for each request that it was learned from, at least and at most. Each time
# that it is confirmed, it holds for so many times as long.
_HOLD_PER_REQUEST: Final = 4.0
_SHORTEST_HOLD: Final = 5.0
_LONGEST_HOLD: Final = 120.0
_CONFIRMED: Final = 3.0
_LONGEST_CONFIRMED: Final = 1800.0
# A 429 is rare, and nothing is learned from it, where so many were accepted since the last one, at most this share of
# the last 200 was refused, and a pause of so many seconds is enough: a fault of a server, not its limit.
_RARE_AFTER: Final = 10
_RARE_SHARE: Final = 0.025
_SHARE_STEP: Final = 1 / 200
_RARE_PAUSE: Final = 2.0
_SLOWER: Final = 1.05  # than the pace at which a request was refused
_MUCH_EVIDENCE: Final = 10.0
_MUCH_SLOWER: Final = 1.2
_FIRST_STEP: Final = 0.02
_LONGEST_STEP: Final = 0.5
_FASTER: Final = 0.05  # growth after as long again as it was held; after twice as long four times as much
# Calls that wait for one in flight to end look after this share of the time that it will probably take, in seconds from
# and to.
_SHARE_OF_WAIT: Final = 0.5
_SHORTEST_LOOK: Final = 0.02
_LONGEST_LOOK: Final = 5.0
_USUAL_RESPONSE: Final = 0.2
# Turns to come are given again where the pace differs by this factor.
_ALIKE: Final = 1.3


class AdaptivePace:
    """Window and pace of the calls of a batch at one rate limit. Its owner holds the lock.

    Attributes:
        in_flight: How many of their requests are in flight.
        refused_since: The instant of the first 429 since the last success; None where there was none.
        version: A number that changes when turns to come should be given again: all of them are too early, or too late.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.refused_since: float | None = None
        self.version = 0
        self._window = _FIRST_WINDOW
        self._seconds = 0.0  # of a response, lately
        self._next = float("-inf")  # the first instant for the next turn
        self._sent = float("-inf")  # the instant at which the last request was sent
        self._paused_until = float("-inf")
        self._reacted_at = float("-inf")  # requests that were sent before the last 429 tell nothing new
        self._last_refused = float("-inf")  # the instant at which the last refused request was sent
        self._first_refused = 0.0  # of those after which the pauses began
        self._pauses = 0  # in a row
        self._accepted: deque[list[float]] = deque()  # instant of the first, and number, for each second of a minute
        self._pace = 0.0  # seconds between two requests; 0.0 until it is learned
        self._learned_at = 0.0
        self._held = 0.0
        self._basis = 0.0  # the requests that the pace was learned from
        self._evidence = 0.0  # those that were accepted since
        self._step = _FIRST_STEP
        self._accepted_since = 0  # the last 429
        self._refused_share = 0.0  # of the last requests
        self._is_rare = False  # the last 429
        self._had_long_pause = False  # as after a limit by the minute
        self._gap = 0.0  # seconds between two requests, lately
        self._slowed = False  # after the last 429, which no success has followed yet
        self._free_at = 0.0  # the instant at which the server accepts the next request, as it says
        self._remaining = RemainingLimits()
        self._given_at_pace = 0.0

    def window(self, now: float) -> int:
        """Return how many requests may be in flight."""
        if self._pauses:
            return 1
        pace = self._pace_at(now)
        needed = 1 + self._seconds / pace if pace else 1
        return max(1, int(min(max(self._window, needed), self._remaining.requests(now))))

    def is_full(self, now: float, waiting: int) -> bool:
        """Return whether requests in flight alone hold back the next one, and not a limit.

        That is where the server has refused none so far, and has room for all of them, if it tells.

        Args:
            now: The current instant.
            waiting: How many calls wait.
        """
        if self._pauses or self._pace:
            return False
        left = self._remaining.requests(now)
        return self.in_flight >= self.window(now) if left == FOREVER else left > self.in_flight + waiting

    def next_turn(self, now: float) -> float:
        """Return the instant of the next turn."""
        return max(now, self._next, self._paused_until)

    def take(self, at: float, spacing: float, now: float) -> None:
        """Give the next turn, and the one after it so many seconds later; later still where the pace is slower."""
        self._next = max(self._next, at) + max(spacing, self._pace_at(now))

    def look_at(self, now: float, waiting: int) -> float:
        """Return the instant at which a call whose turn is due should ask whether it may send: now, if it may.

        Args:
            now: The current instant.
            waiting: How many other calls wait.
        """
        if now < self._paused_until:
            return self._paused_until
        window = self.window(now)
        if self.in_flight >= window:
            # Of all that wait, one probably looks soon after a response.
            look = _SHARE_OF_WAIT * (waiting + 1) * (self._seconds or _USUAL_RESPONSE) / window
            return now + min(max(look, _SHORTEST_LOOK), _LONGEST_LOOK)
        return max(now, self._sent + self._pace_at(now))

    def begin(self, now: float) -> None:
        """Count a request that is sent now."""
        self._gap = 0.7 * self._gap + 0.3 * (now - self._sent) if self._pace and self._gap else self._pace
        self._sent = now
        self.in_flight += 1

    def end(self) -> None:
        """Count a request no longer."""
        self.in_flight = max(0, self.in_flight - 1)

    def refund(self, seconds: float) -> None:
        """Let the next turns come sooner: less was used than was reserved."""
        self._next -= seconds

    def accept(self, sent: float, now: float, headers: Mapping[str, str], usage: Usage | None = None) -> None:
        """Note a request that succeeded, the headers of its response and the tokens that it used."""
        self._count(sent)
        self._evidence += 1
        self._accepted_since += 1
        self._refused_share *= 1 - _SHARE_STEP
        self._seconds = now - sent if not self._seconds else 0.8 * self._seconds + 0.2 * (now - sent)
        if self._pauses and sent >= self._paused_until:
            if self._pauses > 1 or not self._is_rare:
                self._learn(sent)
            self._pauses = 0
        if sent >= self._reacted_at:
            self._slowed, self.refused_since = False, None
        if 2 * self.in_flight >= self.window(now) and not self._pace:
            self._window = min(_LARGEST_WINDOW, self._window + _GROWTH)
        self._remaining.note(headers, usage, sent)
        self._paused_until = max(self._paused_until, self._remaining.closed_until)
        self._renew_turns(now)

    def refuse(self, sent: float, now: float, pause: float | None) -> None:
        """Note a request that was answered with 429, and the pause that the server asks for."""
        if self.refused_since is None:
            self.refused_since = now
        if pause is not None:
            pause += SLACK
            self._free_at = sent + pause
            self._paused_until = max(self._paused_until, sent + pause)
        if sent < self._reacted_at:
            return
        self._reacted_at, self._last_refused = now, sent
        pace = self._pace_at(sent)
        if not self._pauses:
            self._note_whether_rare(pause or _FIRST_PAUSE, pace)
        learned = self._pace and not self._pauses and not self._is_rare
        if learned and sent > self._learned_at + self._held:
            self._step_back(pace, now)
        elif learned and not self._slowed and (pause or _FIRST_PAUSE) <= 2 * pace:
            self._slow_down(pace, pause, now)
        else:
            self._forget_accepted(now)
            if not self._pauses:
                self._window, self._first_refused = max(1.0, self._window / 2), sent
            self._pauses += 1
        if pause is None:
            self._free_at = 0.0
            at = sent + min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** max(0, self._pauses - 1))
            minute = self._accepted[0][0] + _MINUTE + 0.5 if self._accepted else 0.0
            self._paused_until = max(now, min(at, minute) if minute > now else at)
        self._next = self._paused_until
        self.version += 1

    # What responses tell

    def _renew_turns(self, now: float) -> None:
        """Let the turns to come be given again where the pace is another than that at which they were given."""
        pace = self._pace_at(now)
        if not pace / _ALIKE <= self._given_at_pace <= pace * _ALIKE:
            self._given_at_pace = pace
            self._next = max(self._paused_until, self._sent + pace)
            self.version += 1

    def _count(self, sent: float) -> None:
        if self._accepted and sent - self._accepted[-1][0] < 1.0:
            self._accepted[-1][1] += 1
        else:
            self._accepted.append([sent, 1])
            self._forget_accepted(sent)

    def _forget_accepted(self, now: float) -> None:
        """Drop what was accepted more than a minute ago, but where a pause is on: then, before it."""
        if not self._pauses:
            while self._accepted and self._accepted[0][0] < now - _MINUTE:
                self._accepted.popleft()

    def _note_whether_rare(self, pause: float, pace: float) -> None:
        """Note whether the 429 is one that comes now and then, whatever the pace."""
        self._refused_share += _SHARE_STEP * (1 - self._refused_share)
        self._is_rare = (
            self._accepted_since >= _RARE_AFTER
            and self._refused_share <= _RARE_SHARE
            and 2 * pace < pause <= _RARE_PAUSE
            and not self._had_long_pause
        )
        self._accepted_since = 0

    def _step_back(self, pace: float, now: float) -> None:
        """Return to the learned pace, which was exceeded since, or to a faster one that held; hold it for longer."""
        nearly = max(pace, min(self._gap, self._pace)) * _SLOWER
        self._pace = min(self._pace, nearly)
        self._step = _FIRST_STEP
        self._hold(now, longer=_CONFIRMED)

    def _slow_down(self, pace: float, pause: float | None, now: float) -> None:
        """Slow down a little, and more if that was not enough: the pace is nearly right, since the pause is short."""
        self._slowed = True
        if self._evidence < _MUCH_EVIDENCE and pause:
            self._pace = pace + 0.8 * min(pause, pace)
        else:
            self._pace = pace * (1 + self._step)
            self._step = min(2 * self._step, _LONGEST_STEP)
        self._basis, self._evidence = self._evidence, 0.0
        self._hold(now)

    def _hold(self, now: float, longer: float = 1.0) -> None:
        """Hold the pace from now on: the longer, the more requests were accepted at it."""
        usual = min(_LONGEST_HOLD, max(_SHORTEST_HOLD, max(self._basis, self._evidence) * _HOLD_PER_REQUEST))
        self._held = min(max(usual, self._held * longer) if longer > 1 else usual, _LONGEST_CONFIRMED)
        self._learned_at = now

    def _learn(self, probed: float) -> None:
        """Learn the pace when a probe was accepted: from what was accepted before the pause, and the time since."""
        before = [entry for entry in self._accepted if entry[0] < probed]
        accepted = max(1.0, sum(entry[1] for entry in before))
        pause = max(self._last_refused, self._free_at) - self._first_refused
        self._had_long_pause = self._had_long_pause or pause >= _LONG_PAUSE
        span = probed - (before[0][0] if before else self._first_refused)
        if self._free_at and before:  # a limit that the server says when it is back
            span = min(span, max(self._free_at - before[0][0], 0.0))
        known = span
        if not self._free_at and pause >= _LONG_PAUSE and self._last_refused - (probed - span) < _MINUTE:
            span = _MINUTE
        pace = max(span, 1e-3) / accepted / (1 - _MARGIN)
        if self._pace and self._evidence >= _MUCH_EVIDENCE and pause < _LONG_PAUSE:
            pace = min(pace, self._pace_at(probed) * _MUCH_SLOWER)
        self._pace, self._basis, self._evidence = pace, accepted, 0.0
        self._hold(probed)
        if span > known:  # it may be a limit of less than a minute
            self._held = min(self._held, max(_LONG_PAUSE, known))
        self._accepted = deque(entry for entry in self._accepted if entry[0] >= probed)

    def _pace_at(self, now: float) -> float:
        """Return the seconds between two requests."""
        pace = self._pace
        if pace and (longer := now - self._learned_at - self._held) > 0:
            faster = _FASTER if max(self._basis, self._evidence) >= _MUCH_EVIDENCE else 4 * _FASTER
            pace /= 1 + faster * (longer / self._held) ** 2
        return max(pace, self._remaining.pace(now))
