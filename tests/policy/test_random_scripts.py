"""Whatever targets do: what always holds, and that both drivers make the same of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.policy_harness import HedgeHarness, PolicyHarness, Result, target
from tests.support.scripted_targets import Attempt, Pause, say
from tests.support.thorough import examples
from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._core.target import BreakerConfig, RetryLimits, Target, Timing
from unified_llm._policy.call_state import MAX_ATTEMPTS
from unified_llm._policy.trace import UNWRITABLE
from unified_llm.types import LLMChunk

pytestmark = pytest.mark.thorough

NAMES = ["alpha/one", "alpha/two", "beta/one", "beta/two", "gamma/one", "delta/one", "delta/two"]
_HEADERS = st.one_of(
    st.just({}),
    st.builds(lambda word: {"x-should-retry": word}, st.sampled_from(["true", "false"])),
    st.builds(lambda wait: {"retry-after": wait}, st.sampled_from(["0", "2", "45", "90", "nan"])),
)
FAILURES = st.builds(
    Failure,
    # These are asked until the deadline, and recorded once: see test_uncounted_attempts and test_loading.
    kind=st.sampled_from(sorted(set(get_args(FailureKind)) - {"pool", "loading"})),
    headers=_HEADERS,
    retry_after=st.sampled_from([None, None, 0.0, 3.0, 61.0]),
)
STEPS = st.one_of(st.just("word "), st.builds(Pause, st.sampled_from([0.5, 20.0, 70.0, float("inf")])), FAILURES)
ATTEMPTS: st.SearchStrategy[Attempt] = st.one_of(
    FAILURES,
    st.just(say("Hello to you")),
    st.builds(lambda steps: [*steps, Done(LLMChunk(finish_reason="stop"))], st.lists(STEPS, max_size=4)),
)
SCRIPTS = st.lists(st.lists(ATTEMPTS, min_size=1, max_size=4), min_size=1, max_size=len(NAMES))


@dataclass(frozen=True)
class Wish:
    """One call, and how long after the one before it."""

    streaming: bool
    deadline: float
    pause: float


WISHES = st.lists(
    st.builds(Wish, st.booleans(), st.sampled_from([1.0, 30.0, 600.0, 1e6]), st.sampled_from([0.0, 40.0, 400.0])),
    min_size=1,
    max_size=4,
)
TARGETS = st.tuples(
    st.sampled_from([None, "sk-1", "sk-2"]),
    st.sampled_from([None, 8_000, 32_000]),
    st.sampled_from([RetryLimits(), RetryLimits(limit=0), RetryLimits(limit=9), RetryLimits(delay=0.0)]),
    st.sampled_from([Timing(), Timing(first_token=3.0, whole=3.0, fixed=True)]),
    st.sampled_from([BreakerConfig(), BreakerConfig(failures=1, cooldown=10.0)]),
)


@settings(max_examples=examples(150))
@given(
    scripts=SCRIPTS,
    parts=st.lists(TARGETS, min_size=len(NAMES), max_size=len(NAMES)),
    wishes=WISHES,
    draw=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_every_call_keeps_the_promises_and_both_drivers_agree(
    scripts: list[list[Attempt]],
    parts: list[tuple[str | None, int | None, RetryLimits, Timing, BreakerConfig]],
    wishes: list[Wish],
    draw: float,
) -> None:
    script = dict(zip(NAMES, scripts, strict=False))
    chain = [
        target(name, key=key, context_window=window, retry=retry, timing=timing, breaker=breaker)
        for name, (key, window, retry, timing, breaker) in zip(script, parts, strict=False)
    ]
    harnesses = PolicyHarness(script, "sync"), PolicyHarness(script, "async")
    for wish in wishes:
        results: list[Result] = []
        for harness in harnesses:
            harness.targets.draw = draw
            harness.wait(wish.pause)
            began, asked, slept = harness.targets.clock, len(harness.targets.asked), len(harness.targets.slept)
            result = harness.call(*chain, streaming=wish.streaming, deadline=wish.deadline)
            check(result, chain, harness.targets.names[asked:])
            assert harness.targets.clock - began <= wish.deadline + 1e-6
            assert all(wait <= 66.0 for wait in harness.targets.slept[slept:])
            if result.failed is None:
                waited = sum(attempt.waited for attempt in result.trace.attempts)
                assert sum(harness.targets.slept[slept:]) == pytest.approx(waited)
            results.append(result)
        one, other = results
        assert one.values == other.values
        assert one.trace.attempts == other.trace.attempts
        assert one.failed == other.failed
        assert harnesses[0].targets.slept == harnesses[1].targets.slept
        assert harnesses[0].health.snapshot(0.0) == harnesses[1].health.snapshot(0.0)
        assert harnesses[0].changes == harnesses[1].changes


def check(result: Result, chain: list[Target], asked: list[str]) -> None:
    failed = result.failed
    sent = sent_to(result)
    assert counted(sent, chain) <= max(MAX_ATTEMPTS, len(chain))
    unwritable = [attempt.target for attempt in result.trace.attempts if attempt.reason == UNWRITABLE]
    assert sorted(asked) == sorted(sent + unwritable)
    asked = sent
    # Nothing is handed out twice: all of it came from the last attempt.
    assert len(set(result.asked_before)) <= 1
    if result.values:
        assert result.trace.attempt_count == len(asked)
        assert result.outcomes[-1][0] == asked[-1]
    if failed is None:
        assert isinstance(result.values[-1], Done)
        assert result.outcomes[-1][1] == "ok"
        assert result.trace.served
        assert result.trace.served.name == asked[-1]
        return
    assert result.trace.served is None
    assert failed.committed == bool(result.values)
    assert not any(isinstance(value, Done) for value in result.values)
    assert failed.failures or failed.expired
    if not (failed.committed or failed.expired or failed.final):
        # A target that was never asked cannot have served, and the trace says why.
        reasons = {"the same API key was refused", "its context window is not known to be larger", UNWRITABLE}
        for name in {each.name for each in chain} - set(asked):
            assert reasons & {attempt.reason for attempt in result.trace.attempts if attempt.target == name}


def counted(sent: list[str], chain: list[Target]) -> int:
    """Return how many attempts count for the most of a call; explicit retries are bounded by their number alone."""
    limits = {each.name: each.retry.limit for each in chain}
    explicit = {name: limit for name, limit in limits.items() if limit is not None}
    for name, limit in explicit.items():
        assert sent.count(name) <= 2 * (1 + limit), "each once more over a new connection"
    return len([name for name in sent if name not in explicit]) + len(explicit.keys() & set(sent))


def sent_to(result: Result) -> list[str]:
    """Return the targets that a request was sent to."""
    return [name for name, outcome in result.outcomes if outcome != "skipped"]


@settings(max_examples=examples(150))
@given(
    scripts=SCRIPTS,
    parts=st.lists(TARGETS, min_size=len(NAMES), max_size=len(NAMES)),
    wishes=WISHES,
    after=st.sampled_from([0.005, 0.3, 10.0]),
)
def test_a_hedged_call_keeps_the_promises_too(
    scripts: list[list[Attempt]],
    parts: list[tuple[str | None, int | None, RetryLimits, Timing, BreakerConfig]],
    wishes: list[Wish],
    after: float,
) -> None:
    script = dict(zip(NAMES, scripts, strict=False))
    chain = [
        target(name, key=key, context_window=window, retry=retry, timing=timing, breaker=breaker)
        for name, (key, window, retry, timing, breaker) in zip(script, parts, strict=False)
    ]
    harness = HedgeHarness(script, after)
    for wish in wishes:
        harness.wait(wish.pause)
        harness.budget.give_back()
        began, asked = harness.targets.clock, len(harness.targets.names)
        result = harness.call(*chain, streaming=wish.streaming, deadline=wish.deadline)
        names = harness.targets.names[asked:]
        outcomes = [outcome for _, outcome in result.outcomes]
        assert harness.targets.clock - began <= wish.deadline + 1e-6
        assert counted(sent_to(result), chain) <= max(MAX_ATTEMPTS, len(chain))
        unwritable = [attempt.target for attempt in result.trace.attempts if attempt.reason == UNWRITABLE]
        assert sorted(names) == sorted(sent_to(result) + unwritable)
        assert all(attempt.reason == "hedged" for attempt in result.trace.attempts if attempt.outcome == "cancelled")
        assert outcomes.count("cancelled") <= 1
        assert outcomes.count("ok") == (result.failed is None)
        assert len(set(result.asked_before)) <= 1  # all that was handed out came from one attempt
        assert set(result.open_at[:-1]) <= {1}  # beside which none was open any more
        if result.failed is None:
            assert "ok" in outcomes
        assert harness.is_free(*chain)
