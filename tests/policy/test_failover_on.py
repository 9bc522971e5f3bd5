"""Which failures go on to another target, where the user says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import pytest

from tests.policy.conftest import Rooms
from tests.support.policy_harness import A, B, Result, Room, limited, trip
from tests.support.scripted_targets import Pause, say
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._policy.failure_rules import FAILURE_RULES


def call(play: Room, failover: Mapping[FailureKind, bool], *, streaming: bool = False) -> Result:
    return play.call(A, B, streaming=streaming, failover=failover)


@pytest.mark.parametrize("kind", ["bad_request", "filter", "unsendable"])
def test_what_usually_ends_a_call_can_be_made_to_fail_over(room: Rooms, kind: FailureKind) -> None:
    play = room({"alpha/one": [Failure(kind, 400)], "beta/two": [say("B")]})
    result = call(play, {kind: True})
    assert result.text == "B"
    assert result.outcomes == [("alpha/one", kind), ("beta/two", "ok")]
    assert call(play, {}).defeat


@pytest.mark.parametrize("kind", sorted(get_args(FailureKind)))
def test_after_a_failure_that_does_not_fail_over_no_other_target_is_asked(room: Rooms, kind: FailureKind) -> None:
    play = room({"alpha/one": [Failure(kind)], "beta/two": [say("B")]})
    result = call(play, {kind: False})
    assert set(play.world.names) == {"alpha/one"}
    assert len(play.world.names) == (2 if FAILURE_RULES[kind].retry and not FAILURE_RULES[kind].only_if_alone else 1)
    assert result.defeat
    assert result.defeat.final == (A, Failure(kind))


def test_what_does_not_fail_over_is_waited_for(room: Rooms) -> None:
    play = room({"alpha/one": [limited(5.0), say("A")], "beta/two": [say("B")]})
    assert call(play, {"rate_limit": False}).text == "A"
    assert play.world.slept == [pytest.approx(5.25)]


def test_a_target_that_was_left_alone_before_is_not_asked_after_such_a_failure_either(room: Rooms) -> None:
    play = room({"alpha/one": [say("A")], "beta/two": [limited(50.0), say("B")]})
    trip(play, "alpha/one")
    play.wait(20.0)
    assert call(play, {"rate_limit": False}).text == "B"
    assert play.world.names == ["beta/two"] * 2
    assert play.known("alpha/one")["state"] == "half_open"


def test_another_failure_of_the_same_target_fails_over_as_usual(room: Rooms) -> None:
    play = room({"alpha/one": [limited(5.0), Failure("redirect", 301)], "beta/two": [say("B")]})
    assert call(play, {"rate_limit": False}).text == "B"
    assert play.world.names == ["alpha/one", "alpha/one", "beta/two"]


def test_other_kinds_fail_over_as_usual(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause()]], "beta/two": [say("B")]})
    assert call(play, {"rate_limit": False, "filter": True}, streaming=True).text == "B"


def test_after_the_first_chunk_nothing_fails_over_whatever_is_said(room: Rooms) -> None:
    play = room({"alpha/one": [["A ", Failure("connection")]], "beta/two": [say("B")]})
    assert call(play, {"connection": True}, streaming=True).defeat
    assert play.world.names == ["alpha/one"]
