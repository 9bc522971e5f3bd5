"""Who is asked, how often, and how soon again."""

from __future__ import annotations

import pytest

from tests.policy.conftest import Rooms
from tests.support.policy_harness import DEAD, A, B, limited, target, trip
from tests.support.scripted_targets import say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import BreakerConfig, RetryLimits

# Order and retries


def test_the_first_target_that_answers_is_the_last_that_is_asked(room: Rooms) -> None:
    play = room({"alpha/one": [say("A")], "beta/two": [say("B")]})
    result = play.call(A, B)
    assert result.text == "A"
    assert play.world.names == ["alpha/one"]
    assert result.trace.served is A


def test_targets_are_asked_in_the_users_order_whatever_happened_before(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD, DEAD, say("A")], "beta/two": [say("B")]})
    assert play.call(A, B).text == "B"
    assert play.call(A, B).text == "A"


def test_a_blip_is_retried_once_while_another_target_is_ready_and_twice_on_the_last(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD], "beta/two": [DEAD]})
    result = play.call(A, B)
    assert play.world.names == ["alpha/one"] * 2 + ["beta/two"] * 3
    assert result.defeat
    assert [each.name for each, _ in result.defeat.failures] == ["alpha/one", "beta/two"]
    assert not result.defeat.expired


def test_no_retries_are_made_where_the_user_wants_none(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD], "beta/two": [DEAD]})
    play.call(target(retry=RetryLimits(limit=0)), target("beta/two", retry=RetryLimits(limit=0)))
    assert play.world.names == ["alpha/one", "beta/two"]
    assert play.world.slept == []


def test_the_users_number_of_retries_holds_beside_others_as_well_as_alone(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD], "beta/two": [DEAD]})
    play.call(target(retry=RetryLimits(limit=3)), target("beta/two", retry=RetryLimits(limit=1)))
    assert play.world.names == ["alpha/one"] * 4 + ["beta/two"] * 2


def test_a_call_makes_at_most_six_attempts(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD], "beta/two": [DEAD]})
    patient = RetryLimits(limit=50)
    lenient = BreakerConfig(failures=1000)
    play.call(target(retry=patient, breaker=lenient), target("beta/two", retry=patient, breaker=lenient))
    assert play.world.names == ["alpha/one"] * 5 + ["beta/two"]


def test_every_one_of_many_targets_is_asked_once(room: Rooms) -> None:
    names = [f"provider{number}/model" for number in range(9)]
    play = room({key: [DEAD] for key in names})
    play.call(*(target(name) for name in names))
    assert play.world.names == names


def test_a_retry_that_was_put_off_does_not_exceed_the_most_attempts(room: Rooms) -> None:
    names = [f"provider{number}/model" for number in range(5)]
    play = room({names[0]: [limited(3.0)], **{key: [DEAD] for key in names[1:]}})
    play.call(*(target(name) for name in names))
    assert len(play.world.asked) == 6
    assert set(play.world.names) == set(names)


# Back-off


def test_the_back_off_of_a_blip_is_short_and_grows(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD]})
    play.call(A)
    assert play.world.slept == pytest.approx([0.125, 0.25])


def test_the_back_off_of_throttling_is_four_times_as_long(room: Rooms) -> None:
    play = room({"alpha/one": [limited()]})
    play.world.draw = 1.0
    play.call(target(retry=RetryLimits(delay=2.0, delay_max=3.0)))
    assert play.world.slept == pytest.approx([2.0, 3.0])


def test_the_back_off_follows_the_users_settings(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD]})
    play.world.draw = 1.0
    play.call(target(retry=RetryLimits(limit=4, delay=4.0, factor=3.0, delay_max=8.0)))
    assert play.world.slept == pytest.approx([1.0, 3.0, 8.0, 8.0])


@pytest.mark.parametrize("draw", [0.0, 1.0])
def test_no_delay_means_no_waiting(room: Rooms, draw: float) -> None:
    play = room({"alpha/one": [DEAD, say("A")]})
    play.world.draw = draw
    assert play.call(target(retry=RetryLimits(delay=0.0))).text == "A"
    assert sum(play.world.slept) == 0.0


def test_the_trace_tells_how_long_was_waited_before_each_attempt(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD, DEAD, say("A")]})
    result = play.call(A)
    assert [each.waited for each in result.trace.attempts] == pytest.approx([0.0, 0.125, 0.25])


# The retry budget


def test_retries_stop_when_a_targets_budget_is_spent_and_failing_over_goes_on(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD], "beta/two": [say("B")]})
    lenient = target(breaker=BreakerConfig(failures=1000, window=0.001))
    for _ in range(10):
        play.call(lenient, B)
        play.wait(1.0)
    play.world.asked.clear()
    assert play.call(lenient, B).text == "B"
    assert play.world.names == ["alpha/one", "beta/two"]
    assert play.known("alpha/one")["retry_budget"] == 0.0
    assert play.known("beta/two")["retry_budget"] == 10.0


def test_where_nothing_reached_the_provider_a_retry_is_made_without_any_budget(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("connect")], "beta/two": [say("B")]})
    for _ in range(10):
        play.health.spend_retry(A)
    assert play.call(A, B).text == "B"
    assert play.world.names == ["alpha/one", "alpha/one", "beta/two"]


def test_answers_at_the_first_try_refill_the_budget_and_others_do_not(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD, say("A"), say("A"), say("A")]})
    play.call(A)
    assert play.known("alpha/one")["retry_budget"] == 9.0
    play.call(A)
    play.call(A, streaming=True)
    assert play.known("alpha/one")["retry_budget"] == 9.2


def test_a_retry_that_was_never_made_costs_nothing(room: Rooms) -> None:
    play = room({"alpha/one": [limited(2.0)], "beta/two": [say("B")]})
    for _ in range(3):
        assert play.call(A, B).text == "B"
        play.wait(5.0)
    assert play.known("alpha/one")["retry_budget"] == 10.0


def test_nothing_is_waited_or_paid_for_a_target_whose_breaker_has_opened(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD]})
    trip(play, "alpha/one")
    before = play.known("alpha/one")["retry_budget"]
    for _ in range(20):
        play.call(A)
    assert play.world.names == ["alpha/one"] * 20
    assert play.world.slept == []
    assert play.known("alpha/one")["retry_budget"] == before
