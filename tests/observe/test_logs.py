"""Log records: their levels, messages and fields, and what is never in them."""

from __future__ import annotations

import logging

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, GROQ, HAIKU, PROMPT, PROVIDER_TEXT, WAYS, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, Message, health_snapshot
from unified_llm._core.outcome import Failure
from unified_llm._observe.logs import log_attempt, log_change
from unified_llm._policy.health import Health
from unified_llm._policy.health_changes import BreakerChange, CooldownChange, HealthChange, LastFailure
from unified_llm.types import Attempt

DEAD = Failure("server", 503, detail=f"{PROVIDER_TEXT} overloaded", request_id="req-1")


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def records_of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "unified_llm"]


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in records_of(caplog)]


@pytest.mark.parametrize("way", WAYS)
def test_a_failover_is_a_warning_a_retry_information_and_the_rest_for_debugging(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedTargets({GPT: [DEAD], HAIKU: [say("Hello")]}).running():
        outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]))
    assert lines(caplog) == [
        (logging.DEBUG, f"{GPT}: HTTP 503 (0.010 s)"),
        (logging.INFO, f"{GPT}: HTTP 503 (0.010 s); retrying in 0.125 s"),
        (logging.DEBUG, f"{GPT}: HTTP 503 (0.010 s)"),
        (logging.DEBUG, f"{HAIKU}: answered (0.010 s)"),
        (logging.WARNING, f"{GPT}: HTTP 503; failed over to {HAIKU}"),
        (logging.INFO, f"served by {HAIKU} in place of {GPT}; {GPT}: HTTP 503"),
    ]
    records = [vars(record) for record in records_of(caplog)]
    first, retrying, retried, last, warned, answered = records
    assert [fields["target"] for fields in records] == [GPT, GPT, GPT, HAIKU, GPT, HAIKU]
    assert (retrying["outcome"], retrying["status"], retrying["pause"]) == ("server", 503, 0.125)
    assert (first["outcome"], first["status"], first["request_id"], first["retry"]) == ("server", 503, "req-1", False)
    assert (retried["seconds"], retried["waited"], retried["retry"]) == (pytest.approx(0.01), 0.125, True)
    assert last["first_token"] == (pytest.approx(0.01) if "stream" in way else None)
    assert (warned["outcome"], warned["status"], warned["suppressed"]) == ("server", 503, 0)
    assert (answered["prompt_tokens"], answered["completion_tokens"], answered["attempts"]) == (7, 3, 3)
    assert answered["seconds"] == pytest.approx(0.155)


def test_an_answer_after_a_transient_error_is_no_failover(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedTargets({GPT: [DEAD, say("Hello")]}).running():
        LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?")
    assert max(level for level, _ in lines(caplog)) == logging.INFO
    assert lines(caplog)[-1] == (logging.DEBUG, f"{GPT} answered (0.145 s)")


def test_tokens_are_logged_only_where_the_provider_counted_them(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedTargets({GPT: [say("Hello", usage=None)]}).running():
        LLMClient(GPT).generate("Hello?")
    assert "prompt_tokens" not in vars(records_of(caplog)[-1])


def test_a_target_that_is_skipped_is_logged_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    picture = Message.user("What is this?", images=["https://example.com/cat.png"])
    with ScriptedTargets({GPT: [say("Hello")]}).running():
        LLMClient("deepseek/deepseek-chat", fallbacks=[GPT], api_key="sk-x").generate([picture])
    assert lines(caplog)[0] == (logging.DEBUG, "deepseek/deepseek-chat: skipped: it cannot read images by URL")
    assert vars(records_of(caplog)[0])["outcome"] == "skipped"


def test_a_cancelled_attempt_is_logged_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    log_attempt(Attempt(GPT, "cancelled", seconds=2.0, reason="hedged"))
    log_attempt(Attempt(GPT, "cancelled", seconds=2.0))
    assert [line for _, line in lines(caplog)] == [
        f"{GPT}: cancelled: another attempt answered first (2.000 s)",
        f"{GPT}: cancelled (2.000 s)",
    ]


def test_the_providers_own_code_is_in_no_line_and_no_field(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedTargets({GPT: [Failure("auth", 401, code=PROVIDER_TEXT)], HAIKU: [say("Hello")]}).running():
        LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?")
    assert len(lines(caplog)) == 5
    assert not [record for record in records_of(caplog) if PROVIDER_TEXT in str(vars(record))]


def test_a_failover_to_the_same_model_in_another_region_is_a_warning_too(caplog: pytest.LogCaptureFixture) -> None:
    east, west = "https://east.api.openai.com/v1", "https://west.api.openai.com/v1"
    with ScriptedTargets({east: [DEAD], west: [say("Hello")]}).running():
        LLMClient(LLMConfig(model=GPT, base_url=east, fallbacks=[{"base_url": west}])).generate("Hello?")
    east_gpt = f"{GPT}@east.api.openai.com"
    assert lines(caplog)[-2:] == [
        (logging.WARNING, f"{east_gpt}: HTTP 503; failed over to {GPT}@west.api.openai.com"),
        (logging.INFO, f"served by {GPT}@west.api.openai.com in place of {east_gpt}; {east_gpt}: HTTP 503"),
    ]


def test_targets_are_logged_by_the_names_that_the_user_gave(caplog: pytest.LogCaptureFixture) -> None:
    east, west = "https://east.api.openai.com/v1", "https://west.api.openai.com/v1"
    fallback = {"base_url": west, "name": "west"}
    with ScriptedTargets({east: [DEAD], west: [say("Hello")]}).running():
        LLMClient(LLMConfig(model=GPT, base_url=east, name="east", fallbacks=[fallback])).generate("Hello?")
    assert lines(caplog)[-1] == (logging.INFO, "served by west in place of east; east: HTTP 503")


def test_failovers_of_one_kind_are_warned_about_once_a_minute_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    targets = ScriptedTargets({GPT: [*[DEAD] * 4, say("Hello"), DEAD, Failure("auth", 401)], HAIKU: [say("Hello")]})
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU], max_retries=0)
        caplog.set_level(logging.INFO)
        for _ in range(5):
            client.generate("Hello?")
        targets.clock += 61.0
        for _ in range(2):
            client.generate("Hello?")
    assert [line for level, line in lines(caplog) if level == logging.WARNING] == [
        f"{GPT}: HTTP 503; failed over to {HAIKU}",
        f"{GPT}: HTTP 503; failed over to {HAIKU} (3 more since the last warning)",
        f"{GPT}: authentication failed, HTTP 401; failed over to {HAIKU}",
    ]
    served = [line for level, line in lines(caplog) if level == logging.INFO and line.startswith("served by")]
    assert len(served) == 6, "each call served by a fallback has its line"


def test_a_breaker_that_opens_or_closes_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    targets = ScriptedTargets({GPT: [*[DEAD] * 5, say("Hello")]})
    with targets.running():
        client = LLMClient(GPT, max_retries=0)
        for _ in range(5):
            outcome_of("generate", client)
        assert health_snapshot()[0]["state"] == "open"
        opened = f"{GPT}: circuit breaker opened after 5 consecutive failures, the last: HTTP 503; next probe in 30 s"
        assert lines(caplog)[-1] == (logging.WARNING, opened)
        assert vars(records_of(caplog)[-1])["state"] == "open"
        targets.clock += 40.0
        outcome_of("generate", client)
        health_snapshot()
    assert lines(caplog)[-1] == (logging.WARNING, f"{GPT}: circuit breaker closed: the target responds again")


def test_every_call_that_a_fallback_serves_while_the_breaker_is_open_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with ScriptedTargets({GPT: [DEAD], GROQ: [Failure("auth", 401)], HAIKU: [say("Hello")]}).running():
        client = LLMClient(GPT, fallbacks=[GROQ, HAIKU], max_retries=0)
        for _ in range(8):
            client.generate("Hello?")
    refused = f"{GROQ} skipped: its API key was refused (auth)"
    for level, line in lines(caplog)[-3:]:
        assert level == logging.INFO
        assert line == f"served by {HAIKU} in place of {GPT}; {GPT} skipped: circuit breaker open; {refused}"


def test_a_failed_probe_is_a_warning_with_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedTargets({GPT: [DEAD]}).running() as targets:
        client = LLMClient(GPT, max_retries=0)
        for _ in range(5):
            outcome_of("generate", client)
        targets.clock += 40.0
        outcome_of("generate", client)
        health_snapshot()
    failed = f"{GPT}: circuit breaker opened again: its probe failed (HTTP 503); next probe in 60 s"
    assert lines(caplog)[-1] == (logging.WARNING, failed)
    assert (vars(records_of(caplog)[-1])["outcome"], vars(records_of(caplog)[-1])["probe_in"]) == ("server", 60.0)


def test_a_breaker_that_another_process_opened_or_closed_is_logged_as_such(caplog: pytest.LogCaptureFixture) -> None:
    seen = LastFailure("server", 503, "HTTP 503", 0.0, elsewhere=True)
    log_change(BreakerChange(GPT, "closed", "open", cause=seen, probe_in=28.04, elsewhere=True))
    log_change(BreakerChange(GPT, "closed", "open", probe_in=28.04, elsewhere=True))
    log_change(BreakerChange(GPT, "closed", "open", 6, 60.0, seen, 30.0))
    log_change(BreakerChange(GPT, "open", "closed", elsewhere=True))
    assert [line for _, line in lines(caplog)] == [
        f"{GPT}: circuit breaker opened, as another process reported (HTTP 503); next probe in 28 s",
        f"{GPT}: circuit breaker opened, as another process reported; next probe in 28 s",
        f"{GPT}: circuit breaker opened after 6 failures within 60 s, the last: HTTP 503; next probe in 30 s",
        f"{GPT}: circuit breaker closed, as another process reported: the target responds again",
    ]


@each(
    ("failure", "line"),
    [
        (
            Failure("auth", 401),
            "its API key was refused (auth); all targets with this API key are in cooldown for 300 s",
        ),
        (
            Failure("rate_limit", 429, retry_after=20.0),
            "rate limited; all targets with this rate limit are in cooldown for 20 s",
        ),
        (
            Failure("server", 503, retry_after=40.0),
            "its server asked for a pause (Retry-After); it is in cooldown for 40 s",
        ),
    ],
)
def test_a_cooldown_that_starts_is_logged_once_with_its_reason_and_length(
    failure: Failure, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with ScriptedTargets({GPT: [failure], HAIKU: [say("Hello")]}).running():
        client = LLMClient(GPT, fallbacks=[HAIKU])
        for _ in range(3):
            client.generate("Hello?")
    assert [(level, text) for level, text in lines(caplog) if "cooldown" in text] == [(logging.INFO, f"{GPT}: {line}")]


def test_a_cooldown_that_calls_prolong_by_moments_is_one_line() -> None:
    changes: list[HealthChange] = []
    health, gpt = Health(changes.append), LLMClient(GPT).targets[0]
    for now in (0.0, 0.5, 1.0, 70.0):
        health.start_cooldown(gpt, "rate_limit", now + 30.0, "rate limited", wait=True, now=now)
    health.start_cooldown(gpt, "rate_limit", 300.0, "rate limited", wait=True, now=71.0)
    assert [change.seconds for change in changes if isinstance(change, CooldownChange)] == [30.0, 30.0, 229.0]


def test_a_retry_is_announced_before_its_wait_also_where_other_targets_failed_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    limited = Failure("rate_limit", 429, retry_after=2.0)
    with ScriptedTargets({GPT: [limited, say("Hello")], HAIKU: [Failure("not_found", 404)]}).running():
        LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?")
    announced = [line for _, line in lines(caplog) if "retrying" in line]
    assert announced == [f"{GPT}: rate limited for 2 s, HTTP 429 (0.010 s); retrying in 2.09 s"]


def test_nothing_is_logged_below_the_level_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="unified_llm")
    with ScriptedTargets({GPT: [DEAD, say("Hello")]}).running():
        LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?")
    assert lines(caplog) == []


@pytest.mark.parametrize("way", WAYS)
def test_no_key_no_prompt_and_no_answer_shows_itself_anywhere(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    targets = ScriptedTargets(
        {
            GPT: [DEAD, Failure("auth", 401, detail=PROVIDER_TEXT)],
            HAIKU: [say(f"{PROVIDER_TEXT} answer", reasoning=PROVIDER_TEXT)],
        }
    )
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU], temperature=0.5)
        result = outcome_of(way, client, PROMPT)
        alone = outcome_of(way, LLMClient(GPT), PROMPT)
    assert PROVIDER_TEXT in result.content
    shown = [caplog.text, repr(client), repr(client.targets), repr(client._config), repr(health_snapshot())]
    shown += [
        repr(result.attempts),
        alone.message,
        repr(alone.attempts),
        *(str(vars(record)) for record in caplog.records),
    ]
    assert not [text for text in shown if "CANARY" in text]
    assert repr(client) == f"LLMClient({GPT} -> {HAIKU})"


def test_an_answer_hides_itself_in_its_repr() -> None:
    with ScriptedTargets({GPT: [say(f"{PROVIDER_TEXT} answer")]}).running():
        client = LLMClient(GPT)
        answer = client.generate(PROMPT)
        stream = client.stream(PROMPT)
        chunks = list(stream)
    assert PROVIDER_TEXT in answer.content
    assert "CANARY" not in repr(answer) + repr(chunks) + repr(stream)
