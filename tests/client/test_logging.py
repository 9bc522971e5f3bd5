"""What is logged, at which level, and what never is."""

from __future__ import annotations

import logging

import pytest

from tests.client.asking import CANARY, GPT, HAIKU, PROMPT, WAYS, Way, told
from tests.scripts import World, say
from unified_llm import LLMClient, LLMConfig, health_snapshot
from unified_llm.outcome import Failure

DEAD = Failure("server", 503, detail=f"{CANARY} overloaded", request_id="req-1")


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.name == "unified_llm"]


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(each.levelno, each.getMessage()) for each in ours(caplog)]


@pytest.mark.parametrize("way", WAYS)
def test_a_failover_is_a_warning_a_failed_attempt_information_and_the_rest_for_debugging(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    with World({GPT: [DEAD], HAIKU: [say("Hello")]}).running():
        told(way, LLMClient(GPT, fallbacks=[HAIKU]))
    assert lines(caplog) == [
        (logging.INFO, f"{GPT}: server after 0.010 s"),
        (logging.INFO, f"{GPT}: server after 0.010 s"),
        (logging.DEBUG, f"{HAIKU}: ok after 0.010 s"),
        (logging.WARNING, f"{HAIKU} answered in place of {GPT} (server)"),
    ]
    facts = vars(ours(caplog)[0])
    assert (facts["target"], facts["outcome"], facts["status"], facts["request_id"]) == (GPT, "server", 503, "req-1")


def test_an_answer_after_a_blip_is_no_failover(caplog: pytest.LogCaptureFixture) -> None:
    with World({GPT: [DEAD, say("Hello")]}).running():
        LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?")
    assert max(level for level, _ in lines(caplog)) == logging.INFO


def test_a_failover_to_the_same_model_in_another_region_is_a_warning_too(caplog: pytest.LogCaptureFixture) -> None:
    east, west = "https://east.api.openai.com/v1", "https://west.api.openai.com/v1"
    with World({east: [DEAD], west: [say("Hello")]}).running():
        LLMClient(LLMConfig(model=GPT, base_url=east, fallbacks=[{"base_url": west}])).generate("Hello?")
    assert lines(caplog)[-1] == (logging.WARNING, f"{GPT} answered in place of {GPT} (server)")


def test_a_breaker_that_opens_or_closes_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    world = World({GPT: [*[DEAD] * 5, say("Hello")]})
    with world.running():
        client = LLMClient(GPT, max_retries=0)
        for _ in range(5):
            told("generate", client)
        assert health_snapshot()[0]["state"] == "open"
        assert lines(caplog)[-1] == (logging.WARNING, f"{GPT}: breaker closed -> open")
        assert vars(ours(caplog)[-1])["state"] == "open"
        world.clock += 40.0
        told("generate", client)
        health_snapshot()
    assert lines(caplog)[-1] == (logging.WARNING, f"{GPT}: breaker half_open -> closed")


def test_nothing_is_logged_below_the_level_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with World({GPT: [DEAD, say("Hello")]}).running():
        LLMClient(GPT).generate("Hello?")
    assert lines(caplog) == []


@pytest.mark.parametrize("way", WAYS)
def test_no_key_no_prompt_and_no_answer_shows_itself_anywhere(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    world = World({GPT: [DEAD, Failure("auth", 401, detail=CANARY)], HAIKU: [say(f"{CANARY} said", reasoning=CANARY)]})
    with world.running():
        client = LLMClient(GPT, fallbacks=[HAIKU], temperature=0.5)
        result = told(way, client, PROMPT)
        alone = told(way, LLMClient(GPT), PROMPT)
    assert CANARY in result.content
    shown = [caplog.text, repr(client), repr(client.targets), repr(client._config), repr(health_snapshot())]
    shown += [repr(result.attempts), alone.message, repr(alone.attempts), *(str(vars(each)) for each in caplog.records)]
    assert not [text for text in shown if "CANARY" in text]
    assert repr(client) == f"LLMClient({GPT} -> {HAIKU})"


def test_an_answer_hides_itself_in_its_repr() -> None:
    with World({GPT: [say(f"{CANARY} said")]}).running():
        client = LLMClient(GPT)
        answer = client.generate(PROMPT)
        stream = client.stream(PROMPT)
        chunks = list(stream)
    assert CANARY in answer.content
    assert "CANARY" not in repr(answer) + repr(chunks) + repr(stream)
