"""Permits that are never returned: a signal's exception at any line, a thread that died, an attempt without end."""

from __future__ import annotations

import gc
from pathlib import Path
from types import FrameType

import pytest

import unified_llm
from tests.support.lines import in_own_thread, traced
from tests.support.policy_harness import DEAD, PolicyHarness, target, trip
from tests.support.scripted_targets import Attempt, say
from tests.support.thorough import THOROUGH
from unified_llm._core import runtime
from unified_llm._core.target import Target
from unified_llm._policy.health import Health
from unified_llm._policy.target_health import Permit

PACKAGE = str(Path(unified_llm.__file__).parent)
SEAM = runtime.__file__  # its lines put the clock of a test in place and take it away; no call runs them
A = target()


class SoftTimeLimitError(Exception):
    """Raised by a signal handler, as Celery's soft limit is."""


def half_open(health: Health, at: Target = A) -> None:
    """Open the breaker at the instant 0; it admits a probe from 30 on."""
    for _ in range(5):
        health.record_outcome(at, health.force(at, 0.0), ok=False, weight=1, now=0.0, draw=0.5)
    assert not health.ready(at, 29.9)


def test_a_probe_whose_permit_is_gone_is_replaced_at_once() -> None:
    health = Health()
    half_open(health)
    permit = health.admit(A, 31.0)
    assert isinstance(permit, Permit)
    assert not health.ready(A, 31.0)
    del permit
    gc.collect()
    again = health.admit(A, 31.0)
    assert isinstance(again, Permit)
    assert again.probe


def test_a_probe_that_is_older_than_an_attempt_may_be_counts_as_lost() -> None:
    health = Health()
    half_open(health)
    kept = health.admit(A, 31.0)
    assert isinstance(kept, Permit)
    limit = A.timing.whole + 10.0
    assert not health.ready(A, 31.0 + limit - 0.1)
    second = health.admit(A, 31.0 + limit)
    assert isinstance(second, Permit)
    assert second.probe
    health.record_outcome(A, kept, ok=False, weight=1, now=102.0, draw=0.5)
    assert health.snapshot(102.0)[0]["state"] == "half_open", "a failure of the first is no longer that of the probe"
    health.record_outcome(A, second, ok=True, weight=0, now=103.0, draw=0.5)
    assert health.snapshot(103.0)[0]["state"] == "closed"


def test_a_late_success_of_a_probe_that_counted_as_lost_closes_the_breaker_all_the_same() -> None:
    health = Health()
    half_open(health)
    kept, second = health.admit(A, 31.0), health.admit(A, 131.0)
    assert isinstance(kept, Permit)
    assert isinstance(second, Permit)
    health.record_outcome(A, kept, ok=True, weight=0, now=132.0, draw=0.5)
    assert health.snapshot(132.0)[0]["state"] == "closed"


def interrupt(harness: PolicyHarness, line: int) -> bool:
    """Make a call whose line of this number, within the package, raises; return whether it came so far."""
    left, reached = line, False

    def on_line(frame: FrameType) -> None:
        nonlocal left, reached
        if not frame.f_code.co_filename.startswith(PACKAGE) or frame.f_code.co_filename == SEAM:
            return
        left -= 1
        if left == 0:
            reached = True
            raise SoftTimeLimitError

    try:
        with traced(on_line):
            harness.call(A)
    except SoftTimeLimitError:
        pass
    return reached


@pytest.mark.parametrize("reply", [say("A"), DEAD], ids=["answers", "fails"])
@in_own_thread
def test_an_exception_at_any_line_of_a_call_leaves_no_breaker_half_open_for_ever(reply: Attempt) -> None:
    line, lines = 0, 0
    while True:
        line += 1 if THOROUGH else 7
        harness = PolicyHarness({A.name: [reply]})
        trip(harness, A.name)
        harness.wait(60.0)
        reached = interrupt(harness, line)
        harness.targets.open = 0
        harness.wait(400.0)
        admission = harness.health.admit(A, harness.targets.clock)
        assert isinstance(admission, Permit), f"no permit after an exception at line {line}"
        del admission
        assert harness.health.ready(A, harness.targets.clock)
        if not reached:
            break
        lines += 1
    assert line > 100
    assert lines > 20


@in_own_thread
def test_the_next_call_is_the_probe_once_the_exception_is_handled() -> None:
    for line in range(1, 200, 3 if THOROUGH else 24):
        harness = PolicyHarness({A.name: [say("A")]})
        trip(harness, A.name)
        harness.wait(60.0)
        interrupt(harness, line)
        gc.collect()  # the frames of the exception had the permit
        assert harness.health.ready(A, harness.targets.clock), f"no permit after an exception at line {line}"
