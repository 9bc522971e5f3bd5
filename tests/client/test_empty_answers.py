"""Answers without any text: empty if the model ended them by itself, returned with a warning if they were cut."""

from __future__ import annotations

import logging

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from tests.support.scripted_targets import Attempt, ScriptedTargets, call_tool, say
from unified_llm import LLMClient, health_snapshot
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import GenerationError, StreamInterruptedError
from unified_llm.types import LLMChunk, LLMResponse

EMPTY = Failure("empty", 200)


@each("way", WAYS)
def test_local_13_the_next_target_is_asked_at_once_after_an_empty_answer(way: Way) -> None:
    targets = ScriptedTargets({GPT: [[EMPTY]], HAIKU: [say("Hello")]})
    with targets.running():
        for _ in range(7):
            result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]))
            assert (result.content, [attempt[1] for attempt in result.attempts]) == ("Hello", ["empty", "ok"])
        (row,) = (row for row in health_snapshot() if row["target"] == GPT)
    assert (row["state"], row["consecutive_failures"], row["retry_budget"]) == ("closed", 0, 10.0)
    assert targets.slept == []


@each("way", WAYS)
def test_a_target_alone_is_asked_once_more_after_an_empty_answer(way: Way) -> None:
    scripts: list[tuple[list[Attempt], str]] = [([[EMPTY], say("Hello")], "Hello"), ([[EMPTY]], "")]
    for script, content in scripts:
        targets = ScriptedTargets({GPT: script})
        with targets.running():
            result = outcome_of(way, LLMClient(GPT))
        assert (result.content, result.error) == (content, None if content else GenerationError)
        assert targets.names == [GPT, GPT]


@each("way", ["stream", "astream"])
def test_a_stream_that_ends_so_after_its_reasoning_is_interrupted(way: Way) -> None:
    targets = ScriptedTargets({GPT: [[LLMChunk(reasoning="Hm."), EMPTY]], HAIKU: [say("never")]})
    with targets.running():
        result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]))
        (row,) = (row for row in health_snapshot() if row["target"] == GPT)
    assert result.error is StreamInterruptedError
    assert "an empty response came back" in result.message
    assert row["consecutive_failures"] == 0
    assert targets.names == [GPT]


@pytest.mark.parametrize("way", WAYS)
def test_local_13_an_answer_cut_before_its_first_text_is_returned_with_one_warning(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "unified_llm")
    targets = ScriptedTargets({GPT: [say("", reasoning="Hm, well", finish_reason="length")], HAIKU: [say("never")]})
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU])
        for _ in range(3):
            result = outcome_of(way, client)
            assert (result.content, result.reasoning, result.metadata[0]) == ("", "Hm, well", "length")
        targets.clock += 61.0
        outcome_of(way, client)
    assert [record.getMessage() for record in caplog.records] == [
        f"{GPT}: the answer was cut before its first text; raise max_tokens=",
        f"{GPT}: the answer was cut before its first text; raise max_tokens= (2 more since the last warning)",
    ]


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_was_cut_in_its_middle_is_no_warning(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "unified_llm")
    (called,) = call_tool("look", '{"at": "se')
    assert isinstance(called, LLMResponse)
    cut = say("", tool_calls=called.tool_calls, finish_reason="length")
    targets = ScriptedTargets({GPT: [say("Hel", reasoning="Hm", finish_reason="length"), cut, say("Hello")]})
    with targets.running():
        for _ in range(3):
            outcome_of(way, LLMClient(GPT))
    assert not caplog.records
