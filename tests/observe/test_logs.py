"""Log records: their levels, messages and fields, and what is never in them."""

from __future__ import annotations

import logging

import pytest

from tests.support.four_ways import GPT, HAIKU, PROMPT, PROVIDER_TEXT, WAYS, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, Message, health_snapshot
from unified_llm._core.outcome import Failure
from unified_llm._observe.logs import log_attempt
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
        (logging.INFO, f"{GPT}: HTTP 503 (0.010 s), retried after a wait of 0.125 s"),
        (logging.DEBUG, f"{HAIKU}: answered (0.010 s)"),
        (logging.WARNING, f"{GPT}: HTTP 503; failed over to {HAIKU}"),
        (logging.INFO, f"{HAIKU} answered in place of {GPT} (HTTP 503)"),
    ]
    first, retried, last, warned, answered = (vars(record) for record in records_of(caplog))
    assert [fields["target"] for fields in (first, retried, last, warned, answered)] == [GPT, GPT, HAIKU, GPT, HAIKU]
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
    assert len(lines(caplog)) == 4
    assert not [record for record in records_of(caplog) if PROVIDER_TEXT in str(vars(record))]


def test_a_failover_to_the_same_model_in_another_region_is_a_warning_too(caplog: pytest.LogCaptureFixture) -> None:
    east, west = "https://east.api.openai.com/v1", "https://west.api.openai.com/v1"
    with ScriptedTargets({east: [DEAD], west: [say("Hello")]}).running():
        LLMClient(LLMConfig(model=GPT, base_url=east, fallbacks=[{"base_url": west}])).generate("Hello?")
    assert lines(caplog)[-2:] == [
        (logging.WARNING, f"{GPT}@east.api.openai.com: HTTP 503; failed over to {GPT}@west.api.openai.com"),
        (logging.INFO, f"{GPT}@west.api.openai.com answered in place of {GPT}@east.api.openai.com (HTTP 503)"),
    ]


def test_targets_are_logged_by_the_names_that_the_user_gave(caplog: pytest.LogCaptureFixture) -> None:
    east, west = "https://east.api.openai.com/v1", "https://west.api.openai.com/v1"
    fallback = {"base_url": west, "name": "west"}
    with ScriptedTargets({east: [DEAD], west: [say("Hello")]}).running():
        LLMClient(LLMConfig(model=GPT, base_url=east, name="east", fallbacks=[fallback])).generate("Hello?")
    assert lines(caplog)[-1] == (logging.INFO, "west answered in place of east (HTTP 503)")


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
        f"{GPT}: the API key was refused, HTTP 401; failed over to {HAIKU}",
    ]
    assert sum(level == logging.INFO for level, _ in lines(caplog)) == 6, "each call served by a fallback has its line"


def test_a_breaker_that_opens_or_closes_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    targets = ScriptedTargets({GPT: [*[DEAD] * 5, say("Hello")]})
    with targets.running():
        client = LLMClient(GPT, max_retries=0)
        for _ in range(5):
            outcome_of("generate", client)
        assert health_snapshot()[0]["state"] == "open"
        opened = f"{GPT}: circuit breaker open (5 failures in a row, the last: HTTP 503), next probe in 30 s"
        assert lines(caplog)[-1] == (logging.WARNING, opened)
        assert vars(records_of(caplog)[-1])["state"] == "open"
        targets.clock += 40.0
        outcome_of("generate", client)
        health_snapshot()
    assert lines(caplog)[-1] == (logging.WARNING, f"{GPT}: circuit breaker closed, the target answers again")


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
