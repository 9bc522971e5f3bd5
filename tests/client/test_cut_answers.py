"""An answer that was cut before it had any text: it is returned, and one warning names max_tokens=."""

from __future__ import annotations

import logging

import pytest

from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from unified_llm import LLMClient
from unified_llm.types import LLMResponse


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
