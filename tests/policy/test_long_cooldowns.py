"""No cooldown that a server asks for lasts longer than five minutes, and the snapshot shows the one that runs."""

from __future__ import annotations

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import A, B, PolicyHarness, limited, target
from tests.support.scripted_targets import ScriptedTargets, Step, say
from unified_llm import LLMClient, health_snapshot
from unified_llm._core.outcome import Done, Failure
from unified_llm._policy.cooldowns import Refusal
from unified_llm._policy.health import Health
from unified_llm._policy.health_updates import CooldownStarted
from unified_llm.types import LLMResponse

DAY = 86_400.0
SPENT = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "23h"}
SERVED: list[Step] = [Done(LLMResponse("A"), headers=SPENT)]


@each(
    ("first", "reason"),
    [
        (Failure("server", 503, headers={"retry-after": "86400"}), "its server asked for a pause (Retry-After)"),
        (limited(DAY), "rate limited"),
        (Failure("rate_limit", 429, headers={"retry-after": "86400"}), "rate limited"),
        (Failure("rate_limit", 429, headers=SPENT), "rate limited"),
        (Failure("auth", 401, headers={"retry-after": "86400"}), "its API key was refused (auth)"),
        (Failure("quota", 402, headers={"retry-after": "86400"}), "its quota is used up (quota)"),
        (SERVED, "its rate limit is used up"),
    ],
)
def test_a_target_whose_server_asks_for_a_day_is_asked_again_after_five_minutes(
    make_harness: MakeHarness, first: Failure | list[Step], reason: str
) -> None:
    harness = make_harness({"alpha/one": [first, say("again")], "beta/two": [say("B")]})
    harness.call(A, B)
    began = harness.targets.clock
    assert harness.call(A, B).text == "B"
    row = harness.known("alpha/one")
    assert (row["state"], row["reason"]) == ("closed", reason)
    (cooldown,) = row["cooldowns"]
    assert 290.0 < row["retry_in"] == cooldown["seconds"] <= 300.0
    assert cooldown["reason"] == reason
    harness.wait(299.0 - (harness.targets.clock - began))
    assert harness.call(A, B).text == "B"
    harness.wait(1.1)
    assert harness.call(A, B).text == "again"
    row = harness.known("alpha/one")
    assert (row["state"], row["retry_in"], row["cooldowns"], row["reason"]) == ("closed", 0.0, [], "")


def test_where_the_server_still_refuses_its_answer_starts_the_next_five_minutes(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(DAY)], "beta/two": [say("B")]})
    for _ in range(3):
        assert harness.call(A, B).outcomes == [("alpha/one", "rate_limit"), ("beta/two", "ok")]
        assert harness.call(A, B).outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
        harness.wait(300.1)


def test_no_call_waits_for_the_end_of_a_cooldown_that_was_cut(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(DAY), say("A")]})
    harness.call(A)
    harness.wait(290.0)
    assert harness.call(A).text == "A"
    assert harness.targets.slept == []


def test_a_longer_cooldown_of_another_process_is_cut_too() -> None:
    health = Health()
    health.apply_update(CooldownStarted(A.limit_key, DAY, "rate limited", wait=True), 0.0, 0.5)
    assert health.admit(A, 1.0) == Refusal(300.0, "rate limited", wait=False)


def test_the_snapshot_shows_when_the_last_account_may_send_and_the_cooldowns_of_all(make_harness: MakeHarness) -> None:
    harness = make_harness({"https://a": [Failure("auth", 401), say("A")], "beta/two": [say("B")]})
    bad, good = (target(base_url="https://a", key=key) for key in ("sk-bad", "sk-good"))
    harness.call(bad, B)
    assert harness.known("alpha/one")["reason"] == "its API key was refused (auth)"
    assert harness.call(good, B).text == "A"
    row = harness.known("alpha/one")
    assert (row["state"], row["retry_in"], row["reason"]) == ("closed", 0.0, "")
    now = harness.targets.clock
    assert [cooldown["scope"] for cooldown in row["cooldowns"]] == ["api_key"], "that of the other key"
    assert [row["cooldowns"] for row in harness.health.snapshot(now, [good])] == [[]]
    assert [row["retry_in"] > 290.0 for row in harness.health.snapshot(now, [bad])] == [True]


def test_of_a_cooldown_and_an_open_breaker_the_longer_is_the_reason() -> None:
    harness = PolicyHarness({"alpha/one": [Failure("server", 503, retry_after=20.0)]})
    for _ in range(5):
        harness.call(A, deadline=1.0)
    row = harness.known("alpha/one")
    assert (row["state"], row["reason"]) == ("open", "circuit breaker open")
    assert row["cooldowns"][0]["seconds"] <= 20.0 < row["retry_in"] == row["probe_in"]


def test_the_public_snapshot_has_the_reason_and_the_seconds() -> None:
    maintenance = Failure("server", 503, headers={"retry-after": "86400"})
    targets = ScriptedTargets({"openai/m": [maintenance, say("A")], "groq/f": [say("F")]})
    with targets.running():
        client = LLMClient("openai/m", api_key="sk-test", fallbacks=[{"model": "groq/f", "api_key": "gsk-test"}])
        assert client.generate("Hello?").used_fallback
        row = next(row for row in health_snapshot() if row["target"] == "openai/m")
        assert 299.0 < row["retry_in"] <= 300.0
        assert row["reason"] == "its server asked for a pause (Retry-After)"
        targets.clock += 300.0
        assert not client.generate("Hello?").used_fallback
