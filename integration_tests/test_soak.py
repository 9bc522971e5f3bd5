"""A soak test of a few seconds; ``python -m benchmarks.soak`` is the long one, which also measures memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.soak import Report, Tally, soak_tasks, soak_threads
from benchmarks.soak_server import FAULTS, WORDS, Plan, Server, serving
from unified_llm.types import Attempt


@pytest.mark.parametrize("soak", [soak_tasks, soak_threads], ids=["tasks", "threads"])
def test_every_call_is_answered_once_by_one_target_while_requests_fail_at_random(
    soak: Callable[[Server, float, int, float], Report],
) -> None:
    with serving(Plan(faulty=0.25, broken=0.05, pause=0.1)) as server:
        report = soak(server, 2.0, 100, 1.0)
        seen = server.seen()
    assert report.problems == [], str(report)
    assert report.calls > 100
    assert report.tally.answered + report.tally.interrupted == report.calls
    assert report.tally.interrupted > 0
    assert report.calls <= report.requests == seen["requests"]
    assert all(seen[fault] for fault in FAULTS), seen  # every kind of fault occurred


def test_a_broken_stream_whose_attempt_has_timed_out_before_is_answered_by_a_fallback() -> None:
    with serving(Plan(faulty=0.1, broken=0.3, pause=0.2)) as server:
        report = soak_tasks(server, 1.0, 50, 0.15)  # a third of the responses begin later
    assert report.problems == [], str(report)
    assert report.tally.timeouts > report.hung


def test_the_soak_would_notice_broken_streams_that_are_neither_raised_nor_timed_out() -> None:
    def problems(*, interrupted: int, broken: int, timeouts: int) -> list[str]:
        tally = Tally(answered=5, interrupted=interrupted, timeouts=timeouts)
        return Report("tasks", 1.0, tally, requests=5, broken=broken, hung=1).problems

    assert not problems(interrupted=2, broken=2, timeouts=1)
    assert not problems(interrupted=1, broken=2, timeouts=2)
    assert problems(interrupted=1, broken=2, timeouts=1)  # the one timeout is of the request that hung
    assert problems(interrupted=0, broken=2, timeouts=2)
    assert problems(interrupted=2, broken=1, timeouts=2)  # raised, though the server did not break it


def test_the_soak_would_notice_answers_that_are_mixed_up() -> None:
    attempts = (Attempt("openai-compatible/shaky-1", "server"), Attempt("openai-compatible/well", "ok"))
    word, report = "well/7/3.1 ", Report("tasks", 1.0, requests=1)
    report.tally.add_answer("3.1", word * WORDS, attempts, 0.0)
    assert report.problems == []
    for mixed in (
        word * (WORDS - 1) + "well/8/3.1",  # two requests
        "shaky-1/7/3.1 " * WORDS,  # the text of a target whose answer failed
        "well/7/4.1 " * WORDS,  # an answer to another question
        word * (WORDS - 1),  # a part of one
        "",
    ):
        report.tally.add_answer("3.1", mixed, attempts, 0.0)
    assert [problem[:15] for problem in report.problems] == ["5 wrong answers"]
