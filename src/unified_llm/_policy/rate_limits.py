"""Registry of what each rate limit may be sent: ``rpm`` and ``tpm`` of targets, and the pace of batches.

A rate limit is that of an account at a model and an address (``Target.limit_key``). Before an attempt, the policy asks
for a turn (``turns``); when the attempt has ended, it is settled with what was used::

    ask --+--> turn: send now ------------------------> finish: tokens used, accepted or refused
          +--> none before an instant
                 +-- reserve --> turn to come --+--> begin, when it is due: send now, or ask again later
                                                +--> give_back: the call ended, or another target served it

Targets with the same limit share what was counted; each is held to its own ``rpm`` and ``tpm``. A call for a target
with neither, which is not of a batch, is not counted. Everything is counted by process.

One lock guards it, held for a few operations. ``finish`` and ``give_back`` take no lock, since they may run in the
garbage collector: they append to a queue, as ``health.Health.record_outcome``.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from unified_llm._core.target import Target
from unified_llm._lib.fork_safe import make_lock
from unified_llm._policy.adaptive_pace import AdaptivePace
from unified_llm._policy.limit_leases import PARTS, Lease, Usage
from unified_llm._policy.rate_window import WINDOW, Limit, RateWindow, Turn
from unified_llm.types.records import Usage as TokenUsage

_MOST_LIMITS: Final = 4096
# Seconds for which the calls of a batch are held although every request is refused.
_PATIENCE: Final = 600.0
# Exchanges in a row that fail where other processes cannot be heard; one or two may be too slow on a busy machine.
_FAILED_EXCHANGES: Final = 3
# Seconds for which a first lease is waited for, unless none can come.
_FIRST_LEASE: Final = 30.0
# Seconds after which a process that may use nothing asks again.
_NEXT_LEASE: Final = 1.0
# Seconds that a call of a batch sleeps: its turn may come sooner than was thought.
_LONGEST_SLEEP: Final = 2.0


@dataclass(slots=True, eq=False)
class LimitState:
    """What is known of one rate limit.

    Attributes:
        window: The requests and tokens of the last minute; used where a target has ``rpm`` or ``tpm``.
        pace: How fast the calls of batches are sent.
        waiting: Calls that wait for their turn.
        limit: ``rpm`` and ``tpm`` of the target that asked last.
        begun: The instant from which on it is known.
        asked_at: The instant at which a turn was last asked for.
        asked: Turns that were asked for since the last look of ``usages``.
        demand: How many there are in a second, lately.
        lease: What this process may use, where several share the limit; None where it is not known yet.
    """

    window: RateWindow
    pace: AdaptivePace
    waiting: int = 0
    limit: tuple[int | None, int | None] = (None, None)
    begun: float = 0.0
    asked_at: float = 0.0
    asked: int = 0
    demand: float = 0.0
    lease: Lease | None = None


@dataclass(slots=True, eq=False)
class HeldTurn:
    """A turn of one call.

    Attributes:
        turn: The turn.
        state: The rate limit.
        queued: The call is one of a batch.
        sent: The instant at which it was granted, so that its request counts as in flight; None while it is to come.
        waits: It is counted among the calls that wait.
        look_at: The instant at which to ask again, where the turn is due and cannot be used yet.
        version: That of the pace at which the turn was given.
    """

    turn: Turn
    state: LimitState
    queued: bool
    sent: float | None = None
    waits: bool = False
    look_at: float = 0.0
    version: int = 0

    def wake_at(self, now: float) -> float:
        """Return the instant at which to ask again: when the turn is due, or sooner, since it may come sooner."""
        at = max(self.turn.at, self.look_at)
        return min(at, now + _LONGEST_SLEEP) if self.queued else at


class Outcome(NamedTuple):
    """What became of the request of a turn.

    Attributes:
        sent: Whether it reached the server, as far as is known.
        tokens: The tokens that were used; None where that is not known, so that the estimate stays.
        ok: True where it was accepted, False where it was refused with 429, None where neither shows.
        pause: The pause that the server asked for, in seconds.
        headers: The response headers about rate limits.
        usage: The tokens as the server counted them.
    """

    sent: bool
    tokens: int | None = None
    ok: bool | None = None
    pause: float | None = None
    headers: Mapping[str, str] = {}
    usage: TokenUsage | None = None


_UNSENT: Final = Outcome(sent=False)


class RateLimits:
    """Registry of rate limits; a new one is empty. Thread-safe."""

    def __init__(self) -> None:
        self._lock = make_lock()
        self._states: OrderedDict[Hashable, LimitState] = OrderedDict()
        self._ended: deque[tuple[HeldTurn, Outcome, float]] = deque()
        self._shared = False
        self._failed = 0  # exchanges in a row

    def share(self, *, shared: bool) -> None:
        """Share the limits with other processes from now on, by leases; or no longer."""
        with self._lock:
            self._shared, self._failed = shared, 0
            for state in self._states.values():
                state.lease = None

    def usages(self, now: float) -> dict[Hashable, tuple[int | None, int | None, Usage]]:
        """Return ``rpm``, ``tpm`` and what was used of each limit that is in use, by its key. Called once a second."""
        with self._lock:
            self._drain(now)
            usages: dict[Hashable, tuple[int | None, int | None, Usage]] = {}
            for key, state in self._states.items():
                if state.limit != (None, None) and now - state.asked_at < 2 * WINDOW:
                    state.window.forget_before(now)
                    state.demand, state.asked = 0.7 * state.demand + 0.3 * state.asked, 0
                    usage = Usage(state.demand + state.waiting, *state.window.used(now))
                    usages[key] = (*state.limit, usage)
            return usages

    def note_exchange(self, *, failed: bool) -> None:
        """Note whether other processes can be heard. If not, this one uses its last part, or the whole limit."""
        self._failed = self._failed + 1 if failed else 0

    @property
    def _unreachable(self) -> bool:
        return self._failed >= _FAILED_EXCHANGES

    def set_lease(self, key: Hashable, lease: Lease) -> None:
        """Use no more of a limit than this, until the next lease."""
        with self._lock:
            if state := self._states.get(key):
                state.lease = lease
                state.pace.version += 1

    def ask(self, target: Target, tokens: int, now: float, *, queued: bool) -> HeldTurn | float:
        """Take a turn now; or return the instant at which the next one is, and take none."""
        with self._lock:
            state, limit = self._look_up(target, now)
            state.asked, state.asked_at = state.asked + 1, now
            held = HeldTurn(Turn(now, tokens), state, queued)
            if queued and (at := state.pace.next_turn(now)) > now:
                return at
            again = _send(held, limit, now)
            if again is None and queued:
                state.pace.take(now, limit.spacing(tokens), now)
            return held if again is None else again

    def is_open(self, target: Target, tokens: int, now: float, *, queued: bool) -> bool:
        """Return whether ``ask`` would take a turn now."""
        with self._lock:
            state, limit = self._look_up(target, now)
            at = max(state.pace.next_turn(now), state.pace.look_at(now, state.waiting)) if queued else now
            return at <= now and _free_at(state, limit, tokens, now) <= now

    def is_full(self, target: Target, tokens: int, now: float) -> bool:
        """Return whether a call of a batch has to wait for those in flight alone, for no limit and after no 429."""
        with self._lock:
            state, limit = self._look_up(target, now)
            return state.pace.is_full(now, state.waiting) and _free_at(state, limit, tokens, now) <= now

    def reserve(self, target: Target, tokens: int, now: float, *, queued: bool) -> HeldTurn:
        """Take the next turn, whenever it is."""
        with self._lock:
            state, limit = self._look_up(target, now)
            held = HeldTurn(Turn(now, tokens), state, queued, waits=True)
            state.waiting += 1
            if queued:
                _line_up(held, limit, now)
                held.look_at = state.pace.look_at(now, state.waiting)
            else:
                held.turn = state.window.take(_free_at(state, limit, tokens, now), tokens)
            return held

    def begin(self, target: Target, held: HeldTurn, now: float) -> bool:
        """Count the request of a turn as sent now, if it is due and nothing is in its way."""
        with self._lock:
            state, limit = self._look_up(target, now)
            if held.queued and held.version != state.pace.version:
                _line_up(held, limit, now)
            if held.turn.at > now:
                return False
            again = _send(held, limit, now)
            held.look_at = again or 0.0
            return again is None

    def give_back(self, held: HeldTurn, now: float) -> None:
        """Give back a turn whose request was not sent. Takes no lock."""
        self._ended.append((held, _UNSENT, now))

    def finish(self, held: HeldTurn, outcome: Outcome, now: float) -> None:
        """Settle a turn. Takes no lock."""
        self._ended.append((held, outcome, now))

    def gives_up(self, target: Target, now: float) -> bool:
        """Return whether every request of the last ten minutes was refused, so that waiting seems to be of no use."""
        with self._lock:
            state, _ = self._look_up(target, now)
            since = state.pace.refused_since
            return since is not None and now - since > _PATIENCE

    def describe(self, key: Hashable, now: float) -> dict[str, Any] | None:
        """Return what is known of a rate limit (``process_health.health_snapshot`` explains it); None for nothing."""
        with self._lock:
            self._drain(now)
            state = self._states.get(key)
            if state is None:
                return None
            state.window.forget_before(now)
            rpm, tpm = state.limit
            limit = self._limit_of(state, now)
            return {
                "rpm": rpm,
                "tpm": tpm,
                "available": None if limit.requests is None else max(0, limit.requests - state.window.requests),
                "available_tokens": None if limit.tokens is None else max(0, limit.tokens - state.window.tokens),
                "in_flight": state.pace.in_flight,
                "waiting": state.waiting,
                "window": state.pace.window(now),
            }

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._ended.clear()
            self._states.clear()

    def forget_calls(self) -> None:
        """Forget the calls that are in flight or wait: they are those of the process that this one was forked from."""
        self._ended.clear()
        for state in self._states.values():
            state.waiting = state.pace.in_flight = 0

    # The lock must be held by the caller of every method below.

    def _look_up(self, target: Target, now: float) -> tuple[LimitState, Limit]:
        self._drain(now)
        state = self._states.get(target.limit_key)
        if state is None:
            state = self._states[target.limit_key] = LimitState(RateWindow(), AdaptivePace(), begun=now)
            if len(self._states) > _MOST_LIMITS:
                self._states.popitem(last=False)
        else:
            self._states.move_to_end(target.limit_key)
        state.limit = (target.rpm, target.tpm)
        limit = self._limit_of(state, now)
        state.window.forget_before(now)
        return state, limit

    def _limit_of(self, state: LimitState, now: float) -> Limit:
        """Return the limits of the target that asked last, as far as this process may use them."""
        rpm, tpm = state.limit
        lease = state.lease
        if lease is not None and self._unreachable:
            return Limit(_part_of(rpm, lease.part), _part_of(tpm, lease.part), lease.part, (rpm, tpm))
        if lease is not None:
            requests, tokens = lease.requests if rpm else None, lease.tokens if tpm else None
            return Limit(requests, tokens, lease.part, (rpm, tpm))
        if self._shared and not self._unreachable and now - state.begun < _FIRST_LEASE:  # others may be using it
            return Limit(_part_of(rpm, 1 / PARTS), _part_of(tpm, 1 / PARTS), 1 / PARTS, (rpm, tpm))
        return Limit(rpm, tpm, whole=(rpm, tpm))

    def _drain(self, now: float) -> None:
        while self._ended:
            held, outcome, at = self._ended.popleft()
            _settle(held, outcome, at, now)


def _part_of(limit: int | None, part: float) -> int | None:
    return None if limit is None else max(1, int(limit * part))


def _free_at(state: LimitState, limit: Limit, tokens: int, at: float) -> float:
    """Return the first instant from ``at`` on at which ``rpm`` and ``tpm`` have room."""
    if limit.requests is limit.tokens is None:
        return at
    if limit.requests == 0 or limit.tokens == 0:
        return at + _NEXT_LEASE
    lease = state.lease
    if lease and limit.tokens and tokens > limit.tokens and tokens > lease.free_tokens and state.window.requests == 0:
        return at + _NEXT_LEASE  # larger than the lease, and others have used what is needed
    return state.window.next_turn(at, limit, tokens)


def _line_up(held: HeldTurn, limit: Limit, now: float) -> None:
    """Give a call of a batch its place behind those that wait, by the pace of now."""
    pace = held.state.pace
    held.version = pace.version
    held.turn.at = pace.next_turn(now)
    pace.take(held.turn.at, limit.spacing(held.turn.tokens), now)


def _send(held: HeldTurn, limit: Limit, now: float) -> float | None:
    """Count the request of a turn as sent now; or return the instant at which to ask again."""
    state, turn = held.state, held.turn
    if turn.counts and (limit.requests == 0 or limit.tokens == 0):
        return now + _NEXT_LEASE
    if held.queued:
        at = max(_free_at(state, limit, turn.tokens, now), state.pace.look_at(now, state.waiting - held.waits))
        if at > now:
            return at
        state.pace.begin(now)
    if turn.counts:
        if (late := state.window.send(turn, now, limit)) is not None:
            return late
    elif not limit.requests is limit.tokens is None:
        at = state.window.next_turn(now, limit, turn.tokens)
        if at > now:
            return at
        held.turn = state.window.take(now, turn.tokens)
    _end_wait(held)
    held.sent = now
    return None


def _end_wait(held: HeldTurn) -> None:
    held.state.waiting -= held.waits
    held.waits = False


def _withdraw(held: HeldTurn, now: float) -> None:
    _end_wait(held)
    if held.sent is not None and held.queued:
        held.state.pace.end()
    held.state.window.give_back(held.turn, now)


def _settle(held: HeldTurn, outcome: Outcome, at: float, now: float) -> None:
    """Count what was used, and let the pace of batches learn from a request of theirs."""
    state, reserved, sent = held.state, held.turn.tokens, held.sent
    if not outcome.sent or sent is None:
        _withdraw(held, now)
        return
    if outcome.tokens is not None:
        state.window.settle(held.turn, outcome.tokens)
    if not held.queued:
        return
    state.pace.end()
    tpm = state.limit[1]
    if tpm and outcome.tokens is not None and outcome.tokens < reserved:
        state.pace.refund(WINDOW * min(1.0, (reserved - outcome.tokens) / tpm))
    if outcome.ok:
        state.pace.accept(sent, at, outcome.headers, outcome.usage)
    elif outcome.ok is False:
        state.pace.refuse(sent, at, outcome.pause)
