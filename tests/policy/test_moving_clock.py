"""The clock may move by any amount between two readings: a thread is suspended, a laptop sleeps."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.four_ways import WAYS, Way, outcome_of
from tests.support.policy_harness import target
from tests.support.scripted_targets import Attempt, ScriptedTargets, say
from tests.support.thorough import examples
from unified_llm import LLMClient
from unified_llm._core import runtime
from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._core.seconds import FOREVER
from unified_llm._core.target import BreakerConfig, RetryLimits, Timing
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._policy.call_state import CallState, Hedging
from unified_llm._policy.effects import Abandon, Emit, Open, Sleep, Wait
from unified_llm._policy.failover import run_policy
from unified_llm._policy.health import Health
from unified_llm._policy.trace import Trace
from unified_llm.types import LLMChunk

pytestmark = pytest.mark.thorough

KINDS: tuple[FailureKind, ...] = get_args(FailureKind)
NAMES = ["alpha/one", "alpha/two", "beta/one", "gamma/one", "delta/one"]
RETRIES = [RetryLimits(), RetryLimits(limit=0), RetryLimits(limit=9), RetryLimits(delay=0.0)]
HINTS: list[dict[str, str]] = [{}, {}, {"retry-after": "2"}, {"retry-after": "45"}, {"x-should-retry": "true"}]
SCRIPTS_PER_SEED = 100


class MovingClock:
    """A clock that goes on by 0 to 5 s at every reading."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.instant = 1000.0

    def __call__(self) -> float:
        self.instant += self.random.uniform(0.0, 5.0)
        return self.instant


def failure(random: Random) -> Failure:
    return Failure(
        random.choice(KINDS),
        headers=random.choice(HINTS),
        retry_after=random.choice([None, None, 0.0, 3.0, 61.0]),
    )


def drive(call: CallState, clock: MovingClock, random: Random) -> None:
    """Perform the effects of the policy; most targets fail. Nothing may begin after the deadline."""
    generator = run_policy(call)
    outcome: Any = None
    racing: set[int] = set()
    try:
        while True:
            effect = generator.send(outcome)
            outcome = None
            match effect:
                case Open(number, until=until, concurrent=concurrent):
                    assert clock.instant < call.deadline, "an attempt begins after the deadline"
                    assert until <= call.deadline
                    if concurrent:
                        racing.add(number)
                    elif random.random() < 0.7:
                        outcome = failure(random)
                case Sleep(until):
                    assert clock.instant < until < call.deadline, "a wait that is over, or does not fit"
                    clock.instant = until
                case Wait(attempts, until):
                    assert until == FOREVER or until <= call.deadline
                    if until != FOREVER and racing.intersection(attempts) and random.random() < 0.5:
                        clock.instant = max(clock.instant, until)
                    else:
                        outcome = (random.choice(attempts), event(call, random))
                        racing.discard(outcome[0])
                case Emit() | Abandon():
                    pass
    except StopIteration:
        pass


def event(call: CallState, random: Random) -> Any:
    if random.random() < 0.5:
        return failure(random)
    return random.choice([LLMChunk(content="word"), Done(LLMChunk())]) if call.streaming else Done(LLMChunk())


@settings(max_examples=examples(100))
@given(st.integers(min_value=0, max_value=2**32))
def test_a_clock_that_moves_between_two_readings_breaks_nothing(seed: int) -> None:
    """Up to 10,000 scripts: 100 of each seed. A generator that raises would end ``drive`` with that error."""
    random = Random(seed)  # noqa: S311 - a script, not a secret
    for _ in range(SCRIPTS_PER_SEED):
        clock, health = MovingClock(random), Health()
        chain = [
            target(
                name,
                key=random.choice([None, "sk-1"]),
                retry=random.choice(RETRIES),
                timing=random.choice([Timing(), Timing(first_token=3.0, whole=3.0, fixed=True)]),
                breaker=random.choice([BreakerConfig(), BreakerConfig(failures=1, cooldown=10.0)]),
            )
            for name in NAMES[: random.randint(1, len(NAMES))]
        ]
        for _ in range(random.randint(1, 2)):
            call = CallState(
                targets=chain,
                streaming=random.random() < 0.5,
                deadline=clock.instant + random.choice([1.0, 10.0, 60.0, 600.0]),
                health=health,
                now=clock,
                random=random.random,
                trace=Trace(),
                hedging=random.choice([None, Hedging(random.choice([0.3, 20.0]), HedgeBudget())]),
            )
            drive(call, clock, random)


@pytest.mark.parametrize("way", WAYS)
def test_a_client_raises_its_own_errors_alone_when_the_clock_moves(way: Way) -> None:
    random = Random(7)  # noqa: S311 - as above
    for _ in range(40):
        names = NAMES[: random.randint(1, len(NAMES))]
        script: dict[str, list[Attempt]] = {
            f"openai/{name[-3:]}-{number}": [failure(random) if random.random() < 0.5 else say("Hello") for _ in "123"]
            for number, name in enumerate(names)
        }
        targets, clock = ScriptedTargets(script), MovingClock(random)
        first, *others = script
        with targets.running(), runtime.use(replace(runtime.current(), now=clock)):
            client = LLMClient(first, fallbacks=others, deadline=random.choice([5.0, 30.0, 600.0]))
            answer = outcome_of(way, client)  # anything but an LLMError is raised
        assert answer.error or answer.content == "Hello"
