"""Targets that are skipped: refused keys, windows that are too small, open breakers."""

from __future__ import annotations

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import DEAD, A, B, C, limited, target, trip
from tests.support.scripted_targets import Step, say
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import BreakerConfig, RetryLimits, Target
from unified_llm.types import LLMResponse

# Credentials


@each(
    ("kind", "reason"),
    [
        ("auth", "its API key was refused (auth)"),
        ("permission", "its API key lacks the permission (permission)"),
        ("quota", "its quota is used up (quota)"),
    ],
)
def test_a_refused_key_starts_a_cooldown_of_every_target_that_shares_it(
    make_harness: MakeHarness, kind: str, reason: str
) -> None:
    failure = Failure(kind, 401)  # type: ignore[arg-type]
    harness = make_harness({"alpha/one": [failure, say("A")], "alpha/two": [say("two")], "beta/two": [say("B")]})
    one, two, other = target(key="sk-1"), target("alpha/two", key="sk-1"), target("alpha/two", key="sk-2")
    result = harness.call(one, two, B)
    assert result.outcomes == [("alpha/one", kind), ("alpha/two", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[1].reason == "the same API key was refused"
    later = harness.call(two, B)
    assert later.outcomes == [("alpha/two", "skipped"), ("beta/two", "ok")]
    assert later.trace.attempts[0].reason == reason
    assert harness.call(other, B).text == "two"
    harness.wait(300.0)
    assert harness.call(one, B).text == "A"


@each("kind", ["auth", "permission", "quota"])
def test_a_refusal_that_does_not_concern_the_key_starts_no_cooldown(make_harness: MakeHarness, kind: str) -> None:
    """Wire F5: one model is not free or a page came back, so other models of the key are asked."""
    failure = Failure(kind, 403, about_key=False)  # type: ignore[arg-type]
    harness = make_harness({"alpha/one": [failure, say("A")], "alpha/two": [say("two")]})
    one, two = target(key="sk-1"), target("alpha/two", key="sk-1")
    assert harness.call(one, two).outcomes == [("alpha/one", kind), ("alpha/two", "ok")]
    assert harness.call(one, two).outcomes == [("alpha/one", "ok")]


def test_a_lone_target_whose_key_was_refused_is_asked_at_every_call(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("auth", 401), say("A")]})
    assert harness.call(target(key="sk-1")).failed
    result = harness.call(target(key="sk-1"))
    assert result.text == "A"
    assert result.outcomes == [("alpha/one", "ok")]


def test_a_refused_key_is_never_waited_for(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("auth", 401), say("A")]})
    harness.call(A)
    harness.wait(290.0)
    assert harness.call(A).text == "A"
    assert harness.targets.slept == []


def test_targets_without_a_key_share_no_credentials(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("auth", 401)], "alpha/two": [say("two")]})
    assert harness.call(A, target("alpha/two")).text == "two"


def test_f10_a_request_that_is_larger_than_the_limit_starts_no_cooldown(make_harness: MakeHarness) -> None:
    too_large = Failure("rate_limit", 413, retry_after=60.0, about_key=False, try_again=False)
    harness = make_harness({"alpha/one": [too_large, say("A")], "beta/two": [say("B")]})
    assert harness.call(A, B).outcomes == [("alpha/one", "rate_limit"), ("beta/two", "ok")]
    assert harness.call(A, B).outcomes == [("alpha/one", "ok")]


# Context windows


def test_a_prompt_that_is_too_long_goes_only_to_larger_windows(make_harness: MakeHarness) -> None:
    names = ["beta/two", "gamma/three", "delta/four"]
    harness = make_harness({"alpha/one": [Failure("context", 400)], **{name: [say(name)] for name in names}})
    chain = [
        target(context_window=8_000),
        target("beta/two", context_window=8_000),
        target("gamma/three"),
        target("delta/four", context_window=16_000),
    ]
    result = harness.call(*chain)
    assert harness.targets.names == ["alpha/one", "gamma/three"], "a window that is not known is tried"
    assert [outcome for _, outcome in result.outcomes] == ["context", "skipped", "ok"]


def test_f10_a_limit_in_bytes_says_nothing_about_windows(make_harness: MakeHarness) -> None:
    """Wire F10: the 413 of a proxy in front of a large window comes before targets with smaller windows."""
    harness = make_harness({"alpha/one": [Failure("too_large", 413)], "beta/two": [say("B")]})
    assert harness.call(target(context_window=1_000_000), target("beta/two", context_window=200_000)).text == "B"


def test_a_prompt_that_is_too_long_everywhere_is_the_callers_to_shorten(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("context", 400)], "beta/two": [say("B")]})
    result = harness.call(target(context_window=8_000), target("beta/two", context_window=8_000))
    assert result.failed
    assert [failure.kind for _, failure in result.failed.failures] == ["context"]
    assert harness.targets.names == ["alpha/one"]


def test_local_4_unknown_windows_are_tried_in_order_until_one_is_large_enough(make_harness: MakeHarness) -> None:
    """Local 4: all windows of a chain of local models are unknown, and unknown is not too small."""
    full = Failure("context", 400)
    harness = make_harness({"alpha/one": [full], "beta/two": [full], "gamma/three": [say("C")]})
    result = harness.call(A, B, C, target("delta/four", context_window=4_000))
    assert result.outcomes == [("alpha/one", "context"), ("beta/two", "context"), ("gamma/three", "ok")]
    harness = make_harness({"alpha/one": [full], "beta/two": [say("B")]})
    assert harness.call(A, target("beta/two", context_window=100)).text == "B", "smaller than what is not known"


def test_local_4_the_number_in_a_refusal_is_the_window(make_harness: MakeHarness) -> None:
    """Local 4: what the refusal says outweighs what was known, and is reported."""
    harness = make_harness({"alpha/one": [Failure("context", 400, context_window=4_096)], "gamma/three": [say("C")]})
    reported: list[tuple[str, int]] = []
    chain = (target(context_window=100), target("beta/two", context_window=4_096), target("gamma/three"))
    with harness.targets.running():
        call = harness.prepare(*chain)
        call.on_window = lambda which, window: reported.append((which.name, window))
        harness.drive(call).advance()
    assert harness.targets.names == ["alpha/one", "gamma/three"]
    assert reported == [("alpha/one", 4_096)]


# Breakers, and the rule that someone is always asked


def test_a_target_whose_breaker_is_open_is_skipped_and_the_trace_says_why(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [say("A")], "beta/two": [say("B")]})
    trip(harness, "alpha/one")
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "circuit breaker open"
    assert result.trace.attempt_count == 1


def test_a_lone_target_is_asked_although_its_breaker_is_open(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [say("A")]})
    trip(harness, "alpha/one")
    result = harness.call(A)
    assert result.outcomes == [("alpha/one", "ok")]
    assert harness.known("alpha/one")["state"] == "closed"


def test_a_breaker_whose_cooldown_ends_within_the_backoff_admits_the_retry_as_its_probe(
    make_harness: MakeHarness,
) -> None:
    harness = make_harness({"alpha/one": [DEAD, say("A")]})
    hasty = BreakerConfig(failures=1, cooldown=0.1, cooldown_max=0.1)
    assert harness.call(target(retry=RetryLimits(delay=8.0), breaker=hasty)).text == "A"
    assert harness.known("alpha/one")["state"] == "closed"


def test_with_every_breaker_open_the_targets_are_asked_in_order_once_each(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD], "beta/two": [DEAD]})
    trip(harness, "alpha/one", "beta/two")
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "server"), ("beta/two", "server")]


def test_a_call_does_not_fail_while_a_target_was_never_asked(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [say("A")], "beta/two": [DEAD]})
    trip(harness, "alpha/one")
    result = harness.call(A, B)
    assert result.text == "A"
    assert result.outcomes == [("alpha/one", "skipped"), *[("beta/two", "server")] * 3, ("alpha/one", "ok")]
    assert harness.targets.names == ["beta/two"] * 3 + ["alpha/one"]


def test_a_target_with_an_open_breaker_is_asked_before_a_limited_one_is_waited_for(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(300.0), say("A")], "beta/two": [say("B")]})
    harness.call(A)
    trip(harness, "beta/two")
    harness.wait(5.0)
    result = harness.call(A, B)
    assert result.text == "B"
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "rate limited"


def test_a_target_that_failed_in_this_call_is_not_also_recorded_as_skipped(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(), say("A")], "beta/two": [DEAD]})
    harness.targets.draw, harness.targets.latency = 0.1, 0.3
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "rate_limit"), *[("beta/two", "server")] * 3, ("alpha/one", "ok")]


# What an answer, or the middle of one, says of calls to come

SPENT = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20s"}


def answer(text: str, headers: dict[str, str]) -> list[Step]:
    return [Done(LLMResponse(text), headers=headers)]


def test_a_target_whose_answer_used_up_its_limit_is_skipped_until_that_recovers(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [answer("A", SPENT), say("A again")], "beta/two": [say("B")]})
    assert harness.call(A, B).text == "A"
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "its rate limit is used up"
    harness.wait(20.0)
    assert harness.call(A, B).text == "A again"


def test_a_used_up_limit_is_that_of_the_key_and_the_model(make_harness: MakeHarness) -> None:
    harness = make_harness({name: [answer("A", SPENT), say("again")] for name in ("alpha/one", "alpha/two")})
    harness.call(target(key="sk-1"))
    assert harness.call(target(key="sk-1"), target("alpha/two", key="sk-1")).outcomes[-1] == ("alpha/two", "ok")
    assert harness.call(target(key="sk-2"), target("alpha/two", key="sk-1")).outcomes == [("alpha/one", "ok")]


def test_no_call_waits_for_a_limit_that_a_header_reports_as_used_up(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [answer("A", SPENT), say("A at once")]})
    harness.call(A)
    assert harness.call(A).text == "A at once"
    assert harness.targets.slept == []


@each(
    "headers",
    [
        {},
        {"retry-after": "20"},
        {**SPENT, "x-ratelimit-remaining-tokens": "7"},
        {**SPENT, "x-ratelimit-reset-tokens": "soon"},
        {**SPENT, "x-ratelimit-reset-tokens": "0s"},
    ],
)
def test_an_answer_that_leaves_room_or_has_an_implausible_header_starts_no_cooldown(
    make_harness: MakeHarness, headers: dict[str, str]
) -> None:
    harness = make_harness({"alpha/one": [answer("A", headers)]})
    harness.call(A, B)
    assert harness.call(A, B).outcomes == [("alpha/one", "ok")]


@each(
    ("failure", "reason"),
    [
        (limited(20.0), "rate limited"),
        (Failure("auth", 401), "its API key was refused (auth)"),
        (Failure("server", 503, retry_after=20.0), "its server asked for a pause (Retry-After)"),
    ],
)
def test_a_failure_in_the_middle_of_a_stream_starts_a_cooldown_too(
    make_harness: MakeHarness, failure: Failure, reason: str
) -> None:
    harness = make_harness({"alpha/one": [["A ", failure]], "beta/two": [say("B")]})
    assert harness.call(A, B, streaming=True).failed
    assert harness.targets.slept == []
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == reason


def test_a_model_that_is_gone_is_reported(make_harness: MakeHarness) -> None:
    gone: list[Target] = []
    harness = make_harness({"alpha/one": [Failure("model_not_found", 404)], "beta/two": [say("B")]})
    with harness.targets.running():
        call = harness.prepare(A, B)
        call.on_model_gone = gone.append
        harness.drive(call).advance()
    assert gone == [A]
    assert harness.call(A, B).text == "B"
