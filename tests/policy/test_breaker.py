"""The circuit breaker of one target."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from tests.support.each import each
from unified_llm._core.target import BreakerConfig
from unified_llm._policy.breaker import CircuitBreaker
from unified_llm._policy.health_updates import BreakerOpened
from unified_llm._policy.target_health import Permit, TargetHealth
from unified_llm.exceptions import ConfigurationError

SETTINGS = BreakerConfig()
LIMIT = 30.0


class Bench:
    """The health of one target, one caller of it, and a clock."""

    def __init__(self, settings: BreakerConfig = SETTINGS, draw: float = 0.5) -> None:
        self.health, self.settings, self.draw, self.now = TargetHealth("alpha/one"), settings, draw, 0.0

    @property
    def breaker(self) -> CircuitBreaker:
        return self.health.find_breaker(self.settings, LIMIT) or self.health.add_breaker(self.settings, LIMIT)

    @property
    def state(self) -> str:
        return self.breaker.state(self.now)

    def admit(self) -> Permit | None:
        return self.health.admit(self.breaker, self.now)

    def would_admit(self) -> bool:
        return self.health.would_admit(self.breaker, self.now)

    def force(self) -> Permit:
        return self.health.force(self.breaker, self.now)

    def ask(self) -> Permit:
        permit = self.admit()
        assert permit
        return permit

    def record_outcome(self, permit: Permit, *, ok: bool | None, weight: int = 1) -> None:
        self.health.record_outcome(permit, ok=ok, weight=weight, limit=None, now=self.now, draw=self.draw)

    def one(self, *, ok: bool | None, weight: int = 1) -> None:
        self.record_outcome(self.ask(), ok=ok, weight=weight)

    def trip(self) -> None:
        for _ in range(self.settings.failures):
            self.one(ok=False)
        assert self.state == "open"

    def pass_cooldown(self) -> None:
        assert self.breaker.open_until is not None
        self.now = self.breaker.open_until
        assert self.state == "half_open"


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    bench = Bench()
    for _ in range(4):
        bench.one(ok=False)
    assert (bench.state, bench.breaker.consecutive_failures) == ("closed", 4)
    bench.one(ok=False)
    assert bench.state == "open"
    assert bench.admit() is None


def test_a_success_breaks_the_row() -> None:
    bench = Bench()
    for ok in (False, False, False, False, True, False, False, False, False):
        bench.one(ok=ok)
    assert bench.state == "closed"


def test_failures_in_a_row_count_however_seldom_a_target_is_asked() -> None:
    bench = Bench()
    for _ in range(5):
        bench.one(ok=False)
        bench.now += 600
    assert bench.breaker.open_until is not None


def test_a_failure_of_weight_two_counts_twice_and_one_of_none_not_at_all() -> None:
    bench = Bench()
    bench.one(ok=False, weight=2)
    bench.one(ok=False, weight=0)
    bench.one(ok=None)
    assert bench.breaker.consecutive_failures == 2
    bench.one(ok=False, weight=2)
    assert bench.state == "closed"
    bench.one(ok=False, weight=2)
    assert bench.state == "open"


def test_it_opens_when_half_of_ten_recent_outcomes_failed() -> None:
    bench = Bench()
    for _ in range(4):
        bench.one(ok=True)
        bench.one(ok=False)
    bench.one(ok=True)
    assert bench.state == "closed"
    bench.one(ok=False)
    assert bench.state == "open"


def test_it_stays_closed_when_less_than_half_failed() -> None:
    bench = Bench()
    for ok in (True, True, False, True, False) * 20:
        bench.one(ok=ok)
    assert bench.state == "closed"


def test_a_failure_of_weight_two_has_a_double_share() -> None:
    bench = Bench()
    for _ in range(3):
        bench.one(ok=False, weight=2)
        bench.one(ok=True)
    assert bench.state == "closed"
    bench.one(ok=False, weight=2)
    assert bench.state == "open", "eight of eleven, though never five in a row"


def test_only_outcomes_within_the_window_have_a_share() -> None:
    bench = Bench()
    for ok in (False, True) * 4 + (False,):
        bench.one(ok=ok)
    bench.now = 60.1
    bench.one(ok=False)
    assert bench.state == "closed"


def test_an_outcome_as_old_as_the_window_still_has_its_share() -> None:
    bench = Bench()
    for ok in (False, True) * 4 + (True,):
        bench.one(ok=ok)
    bench.now = 60.0
    bench.one(ok=False)
    assert bench.state == "open"


def test_the_share_is_that_of_the_last_twenty_outcomes() -> None:
    bench = Bench()
    for ok in (*[True] * 11, *[False, True] * 9):
        bench.one(ok=ok)
    assert bench.state == "closed"
    bench.one(ok=False)
    assert bench.state == "open"


def test_the_thresholds_are_the_callers_and_the_history_is_shared() -> None:
    bench = Bench()
    bench.one(ok=False)
    bench.one(ok=False)
    bench.settings = BreakerConfig(failures=3)
    bench.one(ok=False)
    assert bench.state == "open"


def test_more_failures_than_are_remembered_can_be_asked_for() -> None:
    bench = Bench(BreakerConfig(failures=30, window=0.5))
    for _ in range(29):
        bench.one(ok=False)
        bench.now += 1
    assert bench.state == "closed"
    bench.one(ok=False)
    assert bench.state == "open"


@each(("draw", "pause"), [(0.0, 24.0), (0.5, 30.0), (1.0, 36.0)])
def test_the_cooldown_is_spread_by_a_fifth_either_way(draw: float, pause: float) -> None:
    bench = Bench(draw=draw)
    bench.trip()
    assert bench.breaker.open_until == pytest.approx(pause)


def test_each_failed_probe_doubles_the_cooldown_up_to_the_limit() -> None:
    bench = Bench()
    bench.trip()
    pauses: list[float] = []
    for _ in range(20):
        bench.pass_cooldown()
        bench.one(ok=False)
        assert bench.breaker.open_until is not None
        pauses.append(bench.breaker.open_until - bench.now)
    assert pauses[:5] == pytest.approx([60.0, 120.0, 240.0, 300.0, 300.0])
    assert pauses[-1] == pytest.approx(300.0)


def test_a_successful_probe_closes_it_and_clears_the_past() -> None:
    bench = Bench()
    bench.trip()
    bench.pass_cooldown()
    bench.one(ok=True)
    assert bench.state == "closed"
    assert bench.breaker.open_until is None
    for _ in range(4):
        bench.one(ok=False)
    assert bench.state == "closed"


def test_the_next_trip_after_a_recovery_begins_with_the_short_cooldown() -> None:
    bench = Bench()
    bench.trip()
    for ok in (False, False, True):
        bench.pass_cooldown()
        bench.one(ok=ok)
    bench.trip()
    assert bench.breaker.open_until == pytest.approx(bench.now + 30.0)


def test_what_was_asked_in_one_outage_says_nothing_of_the_next() -> None:
    bench = Bench()
    bench.trip()
    late = bench.force()
    bench.pass_cooldown()
    bench.one(ok=True)
    bench.trip()
    bench.record_outcome(late, ok=True)
    assert bench.state == "open"


def test_what_was_asked_before_an_outage_that_others_saw_says_nothing_after_it() -> None:
    bench = Bench()
    late = bench.ask()
    bench.health.apply_opened(BreakerOpened("key", 0.0, 30.0, "alpha/one", 1, 5), 0.0, 0.0)
    bench.health.apply_closed(0.0)
    assert bench.state == "closed"
    bench.record_outcome(late, ok=False, weight=5)
    assert bench.state == "closed"


def test_the_evidence_of_a_row_that_others_have_begun_has_no_success_in_it() -> None:
    bench = Bench()
    bench.health.record_outcome(bench.ask(), ok=True, weight=0, limit=0.3, now=0.0, draw=0.5)
    bench.health.apply_opened(BreakerOpened("key", 0.0, 30.0, "alpha/one", 1, SETTINGS.failures - 1), 0.0, 0.0)
    bench.one(ok=False)
    assert bench.state == "open"
    assert bench.breaker.evidence == (SETTINGS.failures, None)  # rather than of those who wait no longer than 0.3 s


def test_one_probe_is_let_through_at_a_time() -> None:
    bench = Bench()
    bench.trip()
    bench.pass_cooldown()
    assert bench.would_admit()
    probe = bench.ask()
    assert probe.probe
    assert not bench.would_admit()
    assert [bench.admit() for _ in range(99)] == [None] * 99


@pytest.mark.parametrize(("ok", "weight"), [(None, 0), (False, 0)])
def test_a_probe_whose_outcome_shows_nothing_gives_way_to_the_next(ok: bool | None, weight: int) -> None:  # noqa: FBT001
    bench = Bench()
    bench.trip()
    bench.pass_cooldown()
    bench.one(ok=ok, weight=weight)
    assert bench.state == "half_open"
    assert bench.ask().probe


@pytest.mark.case(46)
def test_a_result_from_before_the_trip_moves_nothing() -> None:
    bench = Bench()
    early = [bench.ask() for _ in range(3)]
    bench.trip()
    bench.record_outcome(early[0], ok=True)
    assert bench.state == "open"
    bench.pass_cooldown()
    probe = bench.ask()
    bench.record_outcome(early[1], ok=True)
    bench.record_outcome(early[2], ok=False)
    assert bench.state == "half_open"
    assert bench.admit() is None
    bench.record_outcome(probe, ok=True)
    assert bench.state == "closed"


def test_a_target_that_was_asked_anyway_closes_it_with_a_success_and_does_no_harm_with_a_failure() -> None:
    bench = Bench()
    bench.trip()
    until = bench.breaker.open_until
    forced = bench.force()
    assert not forced.probe
    bench.record_outcome(forced, ok=False)
    assert bench.breaker.open_until == until
    bench.record_outcome(bench.force(), ok=True)
    assert bench.state == "closed"


def test_asking_anyway_is_the_probe_where_one_is_due() -> None:
    bench = Bench()
    bench.trip()
    bench.pass_cooldown()
    probe = bench.force()
    assert probe.probe
    assert not bench.force().probe


def test_what_follows_a_success_is_never_a_probe_and_belongs_to_the_present() -> None:
    bench = Bench()
    bench.trip()
    bench.pass_cooldown()
    probe = bench.ask()
    rest = bench.health.follow_up(probe, bench.now)
    bench.record_outcome(probe, ok=None)
    assert not rest.probe
    assert bench.ask().probe
    bench.record_outcome(rest, ok=False)
    assert bench.state == "half_open"


@each(
    "wrong",
    [{"failures": 0}, {"window": -1.0}, {"cooldown": 0.0}, {"cooldown": float("nan")}, {"cooldown_max": 1.0}],
)
def test_thresholds_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="BreakerConfig"):
        BreakerConfig(**wrong)  # type: ignore[arg-type]


class Reference:
    """Specification of the breaker of one caller, as short as possible."""

    def __init__(self, settings: BreakerConfig) -> None:
        self.settings = settings
        self.recent: deque[tuple[float, bool]] = deque(maxlen=20)
        self.row = self.trips = self.era = 0
        self.until: float | None = None
        self.probe: tuple[object, float] | None = None

    def admits(self, now: float) -> bool:
        return self.until is None or (now >= self.until and (self.probe is None or now >= self.probe[1]))

    def record_outcome(self, token: object, era: int, *, ok: bool | None, weight: int, now: float) -> None:
        probing = self.probe is not None and token is self.probe[0]
        if probing:
            self.probe = None
        if era != self.era or ok is None or (not ok and not weight):
            return
        if self.until is not None:
            if ok:
                self.recent.clear()
                self.until, self.row, self.era = None, 0, self.era + 1
            elif probing:
                self.open(now)
            return
        self.recent.extend([(now, ok)] * (1 if ok else weight))
        self.row = 0 if ok else self.row + weight
        share = [good for at, good in self.recent if now - at <= self.settings.window]
        if not ok and (self.row >= self.settings.failures or (len(share) >= 10 and 2 * sum(share) <= len(share))):
            self.trips = 0
            self.open(now)

    def open(self, now: float) -> None:
        self.until = now + min(self.settings.cooldown_max, self.settings.cooldown * 2**self.trips)
        self.trips, self.era = self.trips + 1, self.era + 1


class BreakerAgainstReference(RuleBasedStateMachine):
    """Random histories of permits, outcomes (late ones too) and waits."""

    permits: Bundle[tuple[Permit | None, object, int]] = Bundle("permits")

    @initialize(failures=st.integers(1, 6), window=st.sampled_from([1.0, 60.0]))
    def begin(self, failures: int, window: float) -> None:
        self.bench = Bench(BreakerConfig(failures=failures, window=window))
        self.reference = Reference(self.bench.settings)

    @rule(target=permits, forced=st.booleans())
    def ask(self, *, forced: bool) -> tuple[Permit | None, object, int]:
        now, reference = self.bench.now, self.reference
        due = reference.admits(now)
        permit = self.bench.force() if forced else self.bench.admit()
        assert bool(permit) == (forced or due)
        token = object()
        if due and reference.until is not None:
            reference.probe = token, now + LIMIT + 10.0
        return (permit, token, reference.era)

    @rule(permit=consumes(permits), ok=st.sampled_from([True, False, False, None]), weight=st.integers(0, 2))
    def record_outcome(self, permit: tuple[Permit | None, object, int], *, ok: bool | None, weight: int) -> None:
        if permit[0] is not None:
            self.bench.record_outcome(permit[0], ok=ok, weight=weight)
            self.reference.record_outcome(permit[1], permit[2], ok=ok, weight=weight, now=self.bench.now)

    @rule(count=st.integers(1, 12), ok=st.booleans())
    def ask_and_record_at_once(self, count: int, *, ok: bool) -> None:
        for _ in range(count):
            self.record_outcome(self.ask(forced=False), ok=ok, weight=1)

    @rule(seconds=st.sampled_from([0.5, 30.0, 61.0, 300.0]))
    def wait(self, seconds: float) -> None:
        self.bench.now += seconds

    @rule()
    def wait_for_the_cooldown(self) -> None:
        if self.reference.until is not None:
            self.bench.now = max(self.bench.now, self.reference.until)

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "bench"):
            return
        breaker, reference, now = self.bench.breaker, self.reference, self.bench.now
        assert breaker.open_until == (None if reference.until is None else pytest.approx(reference.until))
        assert breaker.consecutive_failures == reference.row
        assert self.bench.would_admit() == reference.admits(now)
        expected = "closed" if reference.until is None else "open" if now < reference.until else "half_open"
        assert breaker.state(now) == expected


TestBreakerAgainstReference = BreakerAgainstReference.TestCase
