"""Several callers of one target: they share what happened, and each judges it by its own settings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.policy_harness import DEAD, B, PolicyHarness, target
from tests.support.scripted_targets import Pause, ScriptedTargets, Step, say
from unified_llm import LLMClient, LLMConfig, health_snapshot
from unified_llm._core.outcome import Failure
from unified_llm._core.target import BreakerConfig, RetryLimits, Target, Timing
from unified_llm._policy.health import Health
from unified_llm._policy.target_health import Permit
from unified_llm.exceptions import TimeoutError as LLMTimeoutError

DAY = BreakerConfig(failures=1, cooldown=86_400.0, cooldown_max=86_400.0)
ONCE = RetryLimits(limit=0)


def waiting(seconds: float, **fields: Any) -> Target:
    """Return the first target as a caller sees it who waits so long."""
    timing = Timing(first_token=seconds, whole=seconds, fixed=True)
    return target(timing=timing, retry=ONCE, **fields)


def late(seconds: float) -> list[Step]:
    """Return an attempt that answers after this many seconds."""
    return [Pause(seconds), *say("A")]


def asked(harness: PolicyHarness, primary: Target) -> bool:
    """Return whether a call sends a request to its primary."""
    before = harness.targets.names.count("alpha/one")
    harness.call(primary, B)
    return harness.targets.names.count("alpha/one") > before


# Limits


def test_the_impatience_of_one_caller_is_no_outage_for_the_others(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [late(0.4)], "beta/two": [say("B")]})
    for _ in range(3):
        assert harness.call(waiting(0.05), B).outcomes[0] == ("alpha/one", "timeout")
    assert harness.call(waiting(60.0), B).text == "A"
    assert harness.call(target(), B).text == "A"


def test_but_it_opens_the_breaker_for_callers_who_are_as_impatient(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [late(0.4)], "beta/two": [say("B")]})
    for _ in range(3):
        harness.call(waiting(0.05), B)
    assert not asked(harness, waiting(0.05))
    assert not asked(harness, waiting(0.01))
    assert asked(harness, waiting(0.06))


def test_an_answer_that_came_late_closes_the_breaker_for_those_alone_who_would_have_waited(
    make_harness: MakeHarness,
) -> None:
    harness = make_harness({"alpha/one": [*[late(0.4)] * 3, *[DEAD] * 5, late(0.4)], "beta/two": [say("B")]})
    for _ in range(3):
        harness.call(waiting(0.05), B)
    for _ in range(5):
        harness.call(waiting(60.0), B)
    assert not asked(harness, waiting(60.0))
    assert harness.call(waiting(60.0)).text == "A"
    assert asked(harness, waiting(60.0))
    assert asked(harness, waiting(30.0))
    assert not asked(harness, waiting(0.05))


def test_a_timeout_counts_for_all_who_wait_no_longer(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [say("B")]})
    for _ in range(3):
        harness.call(waiting(60.0), B)
    assert not asked(harness, waiting(60.0))
    assert not asked(harness, waiting(0.05))
    assert asked(harness, waiting(61.0))


def test_what_is_no_timeout_counts_for_all_whatever_they_wait(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD], "beta/two": [say("B")]})
    for _ in range(5):
        harness.call(waiting(0.05), B)
    assert not asked(harness, waiting(60.0))


def test_a_call_that_a_deadline_cuts_short_counts_for_nobody(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [say("B")]})
    for _ in range(9):
        harness.call(target(), deadline=0.05)
    assert asked(harness, target())


def test_a_connection_that_was_cut_short_by_a_callers_limit_is_a_timeout_of_that_caller(
    make_harness: MakeHarness,
) -> None:
    harness = make_harness({"alpha/one": [Failure("connect")], "beta/two": [say("B")]})
    harness.targets.latency = 0.4  # or as long as the call allows
    for _ in range(9):
        harness.call(waiting(0.05), B)
    assert not asked(harness, waiting(0.05))
    assert asked(harness, waiting(60.0))
    for _ in range(5):
        harness.call(waiting(60.0), B)
    assert not asked(harness, waiting(60.0))


def test_what_the_configuration_of_a_caller_causes_counts_for_nobody(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("tls", scope="caller")], "beta/two": [say("B")]})
    for _ in range(9):
        harness.call(target(), B)
    assert harness.known("alpha/one")["consecutive_failures"] == 0


def test_a_limit_of_some_calls_alone_leaves_the_snapshot_of_the_client_as_it_is() -> None:
    targets = ScriptedTargets({"openai/gpt-5-mini": [late(0.4)]})
    with targets.running():
        client = LLMClient("openai/gpt-5-mini", api_key="sk-test", max_retries=0)
        for _ in range(3):
            with pytest.raises(LLMTimeoutError):
                client.generate("Hello?", timeout=0.05)
        (row,) = health_snapshot()
        assert (row["state"], row["retry_in"], row["reason"]) == ("closed", 0.0, "")
        assert client.generate("Hello?").content == "A"


# Settings


def test_the_thresholds_of_one_caller_do_not_keep_the_others_away(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD, say("A")], "beta/two": [say("B")]})
    harness.call(target(breaker=DAY, retry=ONCE), B)
    assert not asked(harness, target(breaker=DAY, retry=ONCE))
    assert harness.call(target(), B).text == "A"


def test_each_caller_holds_back_for_its_own_cooldown(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD], "beta/two": [say("B")]})
    for _ in range(5):
        harness.call(waiting(60.0), B)
    assert not asked(harness, waiting(60.0, breaker=DAY))
    assert not asked(harness, waiting(60.0))
    harness.wait(31.0)
    assert not asked(harness, waiting(60.0, breaker=DAY))
    assert asked(harness, waiting(60.0))


def test_an_answer_closes_the_breaker_for_all_callers(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [*[DEAD] * 5, say("A")], "beta/two": [say("B")]})
    for _ in range(5):
        harness.call(waiting(60.0), B)
    assert not asked(harness, waiting(60.0, breaker=DAY))
    harness.wait(31.0)
    assert harness.call(waiting(60.0), B).text == "A"
    assert asked(harness, waiting(60.0, breaker=DAY))


def test_a_caller_that_is_new_judges_by_what_others_saw_before(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD], "beta/two": [say("B")]})
    for _ in range(3):
        harness.call(waiting(60.0), B)
    assert not asked(harness, waiting(60.0, breaker=BreakerConfig(failures=3)))
    assert asked(harness, waiting(60.0, breaker=BreakerConfig(failures=4)))


def test_one_event_is_one_change_for_the_log(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [*[DEAD] * 5, say("A")], "beta/two": [say("B")]})
    for streaming in (True, False, True, False, True):
        harness.call(target(retry=ONCE), B, streaming=streaming)
    harness.health.apply_outcomes()
    assert harness.changes == [("alpha/one", "closed", "open")]
    harness.wait(31.0)
    assert harness.call(target(), B).text == "A"
    harness.health.apply_outcomes()
    assert harness.changes[1:] == [("alpha/one", "half_open", "closed")]


# The probe, of which there is one for all


def test_callers_of_several_kinds_share_one_probe() -> None:
    health = Health()
    callers = [waiting(60.0), waiting(5.0), waiting(60.0, breaker=BreakerConfig(failures=2, cooldown=10.0))]
    for _ in range(5):
        first = health.force(callers[0], 0.0)
        health.record_outcome(callers[0], first, ok=False, weight=1, now=0.0, draw=0.5)
    assert not any(health.ready(caller, 1.0) for caller in callers)
    probe = health.admit(callers[1], 40.0)
    assert isinstance(probe, Permit)
    assert probe.probe
    assert not any(health.ready(caller, 40.0) for caller in callers)
    health.record_outcome(callers[1], probe, ok=False, weight=1, now=41.0, draw=0.5)
    assert [row["retry_in"] for caller in callers for row in health.snapshot(41.0, [caller])] == [60.0, 60.0, 20.0]


def test_a_probe_of_one_who_was_not_patient_enough_leaves_the_others_theirs() -> None:
    health, hasty, patient = Health(), waiting(0.05), waiting(60.0)
    for _ in range(5):
        health.record_outcome(hasty, health.force(hasty, 0.0), ok=False, weight=1, now=0.0, draw=0.5)
    probe = health.admit(hasty, 40.0)
    assert isinstance(probe, Permit)
    health.record_outcome(hasty, probe, ok=False, weight=2, limit=0.05, now=40.0, draw=0.5)
    assert not health.ready(hasty, 41.0)
    assert health.ready(patient, 41.0)


def test_many_kinds_of_callers_are_bounded_and_one_that_was_forgotten_judges_by_the_log() -> None:
    health = Health()
    for _ in range(5):
        health.record_outcome(target(), health.force(target(), 0.0), ok=False, weight=1, now=0.0, draw=0.5)
    for number in range(1000):
        assert not health.ready(waiting(1.0 + number), 1.0)
    known = health._targets.get(target().health_key)
    assert known
    assert len(known._breakers) == 16
    assert not health.ready(target(), 1.0)


# What a configuration of one's own may not do to others


def test_the_backoff_of_one_caller_is_no_cooldown_of_the_others(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("rate_limit", 429), say("A")], "beta/two": [say("B")]})
    harness.call(target(retry=RetryLimits(delay=1000.0, delay_max=1000.0)), B)
    assert not asked(harness, target())
    harness.wait(1.0)
    assert asked(harness, target())


def test_a_client_with_settings_of_its_own_sees_them_in_the_snapshot() -> None:
    targets = ScriptedTargets({"openai/m": [DEAD]})
    with targets.running():
        hasty = LLMClient(LLMConfig(model="openai/m", api_key="sk-test", max_retries=0, breaker=DAY))
        usual = LLMClient("openai/m", api_key="sk-test", max_retries=0)
        for client, state in ((hasty, "open"), (usual, "closed")):
            with pytest.raises(Exception, match="HTTP 503"):
                client.generate("Hello?")
            assert [row["state"] for row in health_snapshot()] == [state]
