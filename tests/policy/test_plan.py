"""Who is asked when: order, retries, back-off, caps, holds and deadlines."""

from __future__ import annotations

import pytest

from tests.policy.conftest import Rooms
from tests.policy.playing import Room, target
from tests.scripts import Pause, say
from unified_llm.outcome import Failure
from unified_llm.target import BreakerConfig, Retry, Timing

DEAD = Failure("server", 503)
A, B, C = target("alpha/one"), target("beta/two"), target("gamma/three")


def limited(seconds: float | None = None) -> Failure:
    return Failure("rate_limit", 429, retry_after=seconds)


def trip(room: Room, *names: str) -> None:
    """Open the breakers of these targets."""
    scripts, room.world.scripts = room.world.scripts, {key: [DEAD] for key in names}
    for name in names:
        for _ in range(2):
            room.call(target(name))
        assert room.known(name)["state"] == "open"
    room.world.scripts = scripts
    room.world.asked.clear()
    room.world.slept.clear()


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


def test_no_retries_are_made_where_the_user_wants_none(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD], "beta/two": [DEAD]})
    play.call(target(retry=Retry(limit=0)), target("beta/two", retry=Retry(limit=0)))
    assert play.world.names == ["alpha/one", "beta/two"]
    assert play.world.slept == []


def test_the_users_number_of_retries_holds_beside_others_as_well_as_alone(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD], "beta/two": [DEAD]})
    play.call(target(retry=Retry(limit=3)), target("beta/two", retry=Retry(limit=1)))
    assert play.world.names == ["alpha/one"] * 4 + ["beta/two"] * 2


def test_a_call_makes_at_most_six_attempts(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD], "beta/two": [DEAD]})
    patient = Retry(limit=50)
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
    play.call(target(retry=Retry(delay=2.0, delay_max=3.0)))
    assert play.world.slept == pytest.approx([2.0, 3.0])


def test_the_back_off_follows_the_users_settings(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD]})
    play.world.draw = 1.0
    play.call(target(retry=Retry(limit=4, delay=4.0, factor=3.0, delay_max=8.0)))
    assert play.world.slept == pytest.approx([1.0, 3.0, 8.0, 8.0])


@pytest.mark.parametrize("draw", [0.0, 1.0])
def test_no_delay_means_no_waiting(room: Rooms, draw: float) -> None:
    play = room({"alpha/one": [DEAD, say("A")]})
    play.world.draw = draw
    assert play.call(target(retry=Retry(delay=0.0))).text == "A"
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


# Throttling


def test_throttling_fails_over_at_once_and_is_no_ill_health(room: Rooms) -> None:
    play = room({"alpha/one": [limited(2.0)], "beta/two": [say("B")]})
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "rate_limit"), ("beta/two", "ok")]
    assert play.world.slept == []
    assert play.known("alpha/one")["failures"] == 0


def test_a_target_that_throttles_is_passed_over_by_other_calls_until_it_may_be_asked(room: Rooms) -> None:
    play = room({"alpha/one": [limited(20.0), say("A")], "beta/two": [say("B")]})
    play.call(A, B)
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "rate limited"
    play.wait(21.0)
    assert play.call(A, B).text == "A"


def test_a_target_that_throttles_is_asked_again_when_all_others_have_failed(room: Rooms) -> None:
    play = room({"alpha/one": [limited(2.0), say("A")], "beta/two": [DEAD]})
    result = play.call(A, B)
    assert result.text == "A"
    assert play.world.names == ["alpha/one", "beta/two", "beta/two", "beta/two", "alpha/one"]


def test_of_two_that_ask_for_patience_the_sooner_is_asked_first(room: Rooms) -> None:
    play = room({"alpha/one": [limited(1.0), say("A")], "beta/two": [limited(50.0)]})
    assert play.call(A, B).text == "A"
    assert sum(play.world.slept) < 2.0


def test_of_several_that_ask_for_patience_the_soonest_is_waited_for_when_the_rest_has_failed(room: Rooms) -> None:
    play = room({"alpha/one": [limited(3.0), say("A")], "beta/two": [limited(9.0)], "gamma/three": [DEAD]})
    assert play.call(A, B, target("gamma/three", retry=Retry(limit=0))).text == "A"
    assert play.world.slept == pytest.approx([3.15], abs=0.05)


def test_a_busy_target_that_asks_for_time_is_not_asked_sooner(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("conflict", 409, retry_after=3.0), say("A")], "beta/two": [DEAD]})
    result = play.call(A, B)
    assert result.text == "A"
    assert play.world.names == ["alpha/one", "beta/two", "beta/two", "beta/two", "alpha/one"]
    assert sum(play.world.slept) == pytest.approx(3.15, abs=0.05)


def test_a_lone_target_that_throttles_is_waited_for(room: Rooms) -> None:
    play = room({"alpha/one": [limited(4.0), say("A")]})
    assert play.call(A).text == "A"
    assert play.world.slept == pytest.approx([4.2])


def test_a_wait_of_more_than_a_minute_is_never_begun(room: Rooms) -> None:
    play = room({"alpha/one": [limited(61.0)]})
    result = play.call(A)
    assert result.outcomes == [("alpha/one", "rate_limit")]
    assert play.world.slept == []


def test_a_lone_target_that_is_held_for_long_is_asked_all_the_same(room: Rooms) -> None:
    play = room({"alpha/one": [limited(300.0), say("A")]})
    play.call(A)
    assert play.call(A).text == "A"
    assert play.world.slept == []


def test_a_lone_target_that_is_held_for_a_moment_is_waited_for(room: Rooms) -> None:
    play = room({"alpha/one": [limited(300.0), say("A")]})
    play.call(A)
    play.wait(290.0)
    result = play.call(A)
    assert result.text == "A"
    assert result.trace.attempts[0].waited == pytest.approx(10.49, abs=0.02)


def test_calls_that_wait_for_the_same_limit_do_not_come_back_in_the_same_instant(room: Rooms) -> None:
    waits: list[float] = []
    for draw in (0.0, 0.5, 1.0):
        play = room({"alpha/one": [limited(300.0), say("A")]})
        play.call(A)
        play.wait(280.0)
        play.world.draw = draw
        play.call(A)
        waits += play.world.slept
    assert waits == pytest.approx([20.0, 21.0, 22.0], abs=0.05)


def test_a_rate_limit_belongs_to_the_key_and_the_model(room: Rooms) -> None:
    play = room({"alpha/one": [limited(30.0)], "https://west": [say("west")], "alpha/two": [say("two")]})
    key = "sk-1"
    same, other = target(key=key, base_url="https://west"), target("alpha/two", key=key)
    result = play.call(target(key=key), same, other)
    assert result.outcomes == [("alpha/one", "rate_limit"), ("alpha/one", "skipped"), ("alpha/two", "ok")]


def test_throttling_without_a_hint_is_remembered_for_the_base_delay(room: Rooms) -> None:
    play = room({"alpha/one": [limited(), say("A")], "beta/two": [say("B")]})
    assert play.call(A, B).text == "B"
    assert play.call(A, B).text == "B"
    play.wait(1.0)
    assert play.call(A, B).text == "A"


def test_an_ailing_target_that_asks_for_time_gets_it(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("server", 503, retry_after=3.0), say("A")], "beta/two": [say("B")]})
    assert play.call(A, B).text == "B"
    assert play.world.names == ["alpha/one", "beta/two"]
    assert play.call(A, B).outcomes[0] == ("alpha/one", "skipped")
    play.wait(3.0)
    assert play.call(A, B).text == "A"


def test_a_server_that_says_come_back_now_is_retried_at_once(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("server", 503, headers={"retry-after": "0"}), say("A")], "beta/two": [say("B")]})
    assert play.call(A, B).text == "A"


# What the server says of retries


def test_a_server_that_forbids_a_retry_gets_none(room: Rooms) -> None:
    dead = Failure("server", 500, headers={"x-should-retry": "false"})
    play = room({"alpha/one": [dead], "beta/two": [say("B")]})
    play.call(A, B)
    assert play.world.names == ["alpha/one", "beta/two"]


def test_a_server_that_invites_a_retry_gets_it_and_the_failure_is_still_the_callers(room: Rooms) -> None:
    bad = Failure("bad_request", 400, headers={"x-should-retry": "true", "retry-after": "2"})
    play = room({"alpha/one": [bad], "beta/two": [say("B")]})
    result = play.call(A, B)
    assert play.world.names == ["alpha/one"] * 2
    assert result.defeat
    assert result.defeat.final == (A, bad)


@pytest.mark.parametrize("wait", ["120", "1000"])
def test_an_invitation_that_lies_too_far_ahead_does_not_turn_a_bad_request_into_a_failover(
    room: Rooms, wait: str
) -> None:
    bad = Failure("bad_request", 400, headers={"x-should-retry": "true", "retry-after": wait})
    play = room({"alpha/one": [bad], "beta/two": [say("B")]})
    assert play.call(A, B).defeat
    assert play.world.names == ["alpha/one"]


def test_a_refused_key_is_not_tried_again_even_if_the_server_invites_that(room: Rooms) -> None:
    refused = Failure("auth", 401, headers={"x-should-retry": "true"})
    play = room({"alpha/one": [refused]})
    play.call(A)
    assert play.world.names == ["alpha/one"]
    assert play.world.slept == []


# Credentials


@pytest.mark.parametrize("kind", ["auth", "permission", "quota"])
def test_a_refused_key_holds_every_target_that_shares_it(room: Rooms, kind: str) -> None:
    failure = Failure(kind, 401)  # type: ignore[arg-type]
    play = room({"alpha/one": [failure, say("A")], "alpha/two": [say("two")], "beta/two": [say("B")]})
    one, two, other = target(key="sk-1"), target("alpha/two", key="sk-1"), target("alpha/two", key="sk-2")
    result = play.call(one, two, B)
    assert result.outcomes == [("alpha/one", kind), ("alpha/two", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[1].reason == "the same key was refused"
    assert play.call(two, B).outcomes == [("alpha/two", "skipped"), ("beta/two", "ok")]
    assert play.call(other, B).text == "two"
    play.wait(300.0)
    assert play.call(one, B).text == "A"


def test_a_lone_target_whose_key_was_refused_is_asked_at_every_call(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("auth", 401), say("A")]})
    assert play.call(target(key="sk-1")).defeat
    result = play.call(target(key="sk-1"))
    assert result.text == "A"
    assert result.outcomes == [("alpha/one", "ok")]


def test_targets_without_a_key_share_no_credentials(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("auth", 401)], "alpha/two": [say("two")]})
    assert play.call(A, target("alpha/two")).text == "two"


# Context windows


@pytest.mark.parametrize("kind", ["context", "too_large"])
def test_a_prompt_that_is_too_long_goes_only_to_larger_windows(room: Rooms, kind: str) -> None:
    names = ["beta/two", "gamma/three", "delta/four"]
    play = room({"alpha/one": [Failure(kind, 400)], **{name: [say(name)] for name in names}})  # type: ignore[arg-type]
    chain = [
        target(context_window=8_000),
        target("beta/two", context_window=8_000),
        target("gamma/three"),
        target("delta/four", context_window=16_000),
    ]
    result = play.call(*chain)
    assert play.world.names == ["alpha/one", "delta/four"]
    assert [outcome for _, outcome in result.outcomes] == [kind, "skipped", "skipped", "ok"]


def test_a_prompt_that_is_too_long_everywhere_is_the_callers_to_shorten(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("context", 400)], "beta/two": [say("B")]})
    result = play.call(target(context_window=8_000), B)
    assert result.defeat
    assert [failure.kind for _, failure in result.defeat.failures] == ["context"]
    assert play.world.names == ["alpha/one"]


def test_a_window_that_is_not_known_counts_as_smaller_than_any_that_is(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("context", 400)], "beta/two": [say("B")], "gamma/three": [say("C")]})
    assert play.call(A, C, target("beta/two", context_window=4_000)).text == "B"


# Breakers, and the rule that someone is always asked


def test_a_target_whose_breaker_is_open_is_passed_over_and_the_trace_says_why(room: Rooms) -> None:
    play = room({"alpha/one": [say("A")], "beta/two": [say("B")]})
    trip(play, "alpha/one")
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "breaker open"
    assert result.trace.asked == 1


def test_a_lone_target_is_asked_although_its_breaker_is_open(room: Rooms) -> None:
    play = room({"alpha/one": [say("A")]})
    trip(play, "alpha/one")
    result = play.call(A)
    assert result.outcomes == [("alpha/one", "ok")]
    assert play.known("alpha/one")["state"] == "closed"


def test_with_every_breaker_open_the_targets_are_asked_in_order_once_each(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD], "beta/two": [DEAD]})
    trip(play, "alpha/one", "beta/two")
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "server"), ("beta/two", "server")]


def test_a_call_does_not_fail_while_a_target_was_never_asked(room: Rooms) -> None:
    play = room({"alpha/one": [say("A")], "beta/two": [DEAD]})
    trip(play, "alpha/one")
    result = play.call(A, B)
    assert result.text == "A"
    assert result.outcomes == [("alpha/one", "skipped"), *[("beta/two", "server")] * 3, ("alpha/one", "ok")]
    assert play.world.names == ["beta/two"] * 3 + ["alpha/one"]


def test_an_ailing_target_is_asked_before_a_limited_one_is_waited_for(room: Rooms) -> None:
    play = room({"alpha/one": [limited(300.0), say("A")], "beta/two": [say("B")]})
    play.call(A)
    trip(play, "beta/two")
    play.wait(5.0)
    result = play.call(A, B)
    assert result.text == "B"
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "rate limited"


def test_a_target_that_failed_in_this_call_is_not_also_told_to_be_left_alone(room: Rooms) -> None:
    play = room({"alpha/one": [limited(), say("A")], "beta/two": [DEAD]})
    play.world.draw, play.world.latency = 0.1, 0.3
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "rate_limit"), *[("beta/two", "server")] * 3, ("alpha/one", "ok")]


# Deadlines


def test_a_deadline_that_has_passed_asks_nobody(room: Rooms) -> None:
    play = room({"alpha/one": [say("A")]})
    result = play.call(A, deadline=0.0)
    assert result.defeat
    assert result.defeat.expired
    assert result.defeat.failures == ()
    assert play.world.asked == []


def test_a_target_that_hangs_is_left_when_its_time_is_over_and_the_next_is_asked(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause()]], "beta/two": [say("B")]})
    result = play.call(A, B)
    assert result.text == "B"
    assert result.trace.attempts[0].seconds == pytest.approx(60.0)


def test_the_last_target_has_all_the_time_that_is_left(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause(200.0), *say("A")]]})
    assert play.call(A).text == "A"


def test_a_timeout_of_the_users_holds_for_the_last_target_too(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause(200.0), *say("A")]]})
    result = play.call(target(timing=Timing(whole=5.0, fixed=True), retry=Retry(limit=0)))
    assert result.outcomes == [("alpha/one", "timeout")]
    assert result.trace.attempts[0].seconds == pytest.approx(5.0)


def test_no_call_lasts_longer_than_its_deadline(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause()]], "beta/two": [[Pause()]]})
    began = play.world.clock
    result = play.call(A, B, deadline=70.0)
    assert result.defeat
    assert result.defeat.expired
    assert play.world.clock - began == pytest.approx(70.0)


def test_a_deadline_shorter_than_the_targets_own_limit_says_nothing_of_its_health(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause()]]})
    for _ in range(5):
        play.call(A, deadline=2.0)
    assert play.known("alpha/one")["failures"] == 0


def test_a_target_that_had_exactly_its_own_limit_and_hung_is_ill(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause()]]})
    play.call(A, streaming=True, deadline=30.0)
    assert play.known("alpha/one")["failures"] == 2


def test_a_target_that_hangs_to_the_end_of_a_long_deadline_is_ill(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause()]]})
    play.call(A, deadline=120.0)
    assert play.known("alpha/one")["failures"] == 2


def test_a_timeout_that_a_target_reports_of_itself_counts_before_any_limit_of_ours(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause(3.0), Failure("timeout")]], "beta/two": [say("B")]})
    play.call(A, B)
    assert play.known("alpha/one")["failures"] == 2


def test_a_back_off_that_does_not_fit_is_not_begun(room: Rooms) -> None:
    play = room({"alpha/one": [limited(30.0)], "beta/two": [limited(30.0)]})
    result = play.call(A, B, deadline=20.0)
    assert result.outcomes == [("alpha/one", "rate_limit"), ("beta/two", "rate_limit")]
    assert play.world.slept == []


def test_a_lone_target_that_is_held_beyond_the_deadline_is_asked_at_once(room: Rooms) -> None:
    play = room({"alpha/one": [limited(50.0), say("A")]})
    play.call(A, deadline=10.0)
    assert play.call(A, deadline=10.0).text == "A"
    assert play.world.slept == []


def test_a_call_without_a_deadline_waits_for_the_last_target_for_ever(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause(1e7), *say("A")]]})
    assert play.call(A, deadline=float("inf")).text == "A"
