"""Turns at rate limits: windows of requests and tokens, and how the policy uses them."""

from __future__ import annotations

import random

from tests.support.each import each
from tests.support.policy_harness import B, HedgeHarness, target
from tests.support.scripted_targets import Pause, say
from unified_llm._policy.rate_limits import HeldTurn, Outcome, RateLimits
from unified_llm._policy.rate_window import WINDOW


@each("rpm", [1, 2, 7, 60])
def test_no_window_has_more_requests_than_the_limit_whoever_asks(rpm: int) -> None:
    draws, limits, limited = random.Random(rpm), RateLimits(), target(rpm=rpm)  # noqa: S311
    now, sent, waiting = 1000.0, list[float](), list[HeldTurn]()
    for _ in range(600):
        now += draws.random() * 30 / rpm
        for held in [held for held in waiting if held.turn.at <= now]:
            waiting.remove(held)
            if draws.random() < 0.2:
                limits.give_back(held, now)
            elif limits.begin(limited, held, now):
                sent.append(now)
        asked = limits.ask(limited, 0, now, queued=False)
        if isinstance(asked, HeldTurn):
            sent.append(now)
        elif len(waiting) < 5:
            waiting.append(limits.reserve(limited, 0, now, queued=False))
        if waiting and draws.random() < 0.1:
            limits.give_back(waiting.pop(), now)
    assert all(later - earlier >= WINDOW - 1e-6 for earlier, later in zip(sent, sent[rpm:], strict=False))
    assert len(sent) >= 0.3 * rpm * (now - 1000) / WINDOW


def test_turns_are_given_in_the_order_in_which_they_are_asked_for() -> None:
    limits, limited = RateLimits(), target(rpm=2)
    first = [limits.ask(limited, 0, 1000.0 + second, queued=False) for second in range(2)]
    assert all(isinstance(turn, HeldTurn) for turn in first)
    turns = [limits.reserve(limited, 0, 1002.0, queued=False).turn.at for _ in range(4)]
    assert turns == [1060.5, 1061.5, 1121.0, 1122.0]


def test_a_turn_that_is_given_back_goes_to_the_next_call_that_asks() -> None:
    limits, limited = RateLimits(), target(rpm=1)
    limits.ask(limited, 0, 1000.0, queued=False)
    held = [limits.reserve(limited, 0, 1000.0, queued=False) for _ in range(3)]
    limits.give_back(held[0], 1001.0)
    assert limits.reserve(limited, 0, 1002.0, queued=False).turn.at == 1060.5
    assert limits.reserve(limited, 0, 1003.0, queued=False).turn.at == 1242.0


def test_tokens_make_room_when_less_was_used_and_take_it_when_more_was() -> None:
    limits, limited = RateLimits(), target(tpm=100)
    turn = limits.ask(limited, 60, 1000.0, queued=False)
    assert isinstance(turn, HeldTurn)
    assert limits.ask(limited, 60, 1000.0, queued=False) == 1060.5
    limits.finish(turn, Outcome(sent=True, tokens=30, ok=True), 1001.0)
    second = limits.ask(limited, 60, 1002.0, queued=False)
    assert isinstance(second, HeldTurn)
    limits.finish(second, Outcome(sent=True, tokens=90, ok=True), 1003.0)
    assert limits.ask(limited, 11, 1004.0, queued=False) == 1062.5


@each(("rpm", "expected"), [(1, ["alpha/one", "beta/two", "alpha/one"]), (2, ["alpha/one", "beta/two"] * 2)])
def test_a_hedge_is_only_sent_within_the_limit(rpm: int, expected: list[str]) -> None:
    harness = HedgeHarness({"alpha/one": [[Pause(5), *say("One.")]], "beta/two": [[Pause(1), *say("Two.")]]})
    harness.budget.give_back()
    harness.limits = RateLimits()
    for _ in range(2):
        harness.call(target("alpha/one"), target(B.name, rpm=rpm))
    assert harness.targets.names == expected
