"""``parallel_tool_calls=False`` at targets that do not take it: one call comes back, whole and streamed."""

from __future__ import annotations

import pytest

from tests.support.four_ways import WAYS, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, Step
from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient, LLMConfig, reset_health
from unified_llm._client.first_call_only import FirstCallOnly
from unified_llm._core.outcome import Done
from unified_llm.types import LLMChunk, LLMResponse, Tool, ToolCall, ToolCallChunk

KEY = "sk-a-key-of-a-test"
TOOLS = [Tool("f", parameters={"type": "object", "properties": {}})]
CALLS = tuple(ToolCall.parse(f"call_{name}", "f", f'{{"a": "{name}"}}') for name in "xyz")
BOTH: list[Step] = [LLMResponse("Let me see.", finish_reason="tool_calls", tool_calls=CALLS)]
# Models that have no such field, and models that have.
WITHOUT = ("gemini/gemini-2.5-flash", "cohere/command-a-03-2025", "ollama/m", "minimax/minimax-m2", "openai/o3-mini")
WITH = ("openai/gpt-4.1", "anthropic/claude-haiku-4-5", "groq/m")


@pytest.mark.parametrize("way", WAYS)
def test_of_several_calls_the_first_is_kept(way: Way) -> None:
    for model in (*WITHOUT, *WITH):
        reset_health()
        client = LLMClient(LLMConfig(model=model, api_key=KEY))
        with ScriptedTargets({model: [BOTH]}).running():
            one = outcome_of(way, client, "x", tools=TOOLS, parallel_tool_calls=False)
            several = outcome_of(way, client, "x", tools=TOOLS)
        assert len(one.calls) == (1 if model in WITHOUT else 3), model
        assert one.calls[0] == several.calls[0]
        assert (one.content, one.metadata[0]) == ("Let me see.", "tool_calls")
        assert len(several.calls) == 3


def test_the_attempt_says_so_and_without_tools_nothing_is_done() -> None:
    client = LLMClient(LLMConfig(model=WITHOUT[0], api_key=KEY))
    with SentRequests().running():
        with_tools = client.generate("x", tools=TOOLS, parallel_tool_calls=False)
        without = client.generate("x", parallel_tool_calls=False)
    assert with_tools.attempts[0].adjusted == {"parallel_tool_calls": [False, None]}
    assert without.attempts[0].adjusted == {}


def test_chunks_that_hold_nothing_else_are_left_out() -> None:
    converter = FirstCallOnly()
    first, text = LLMChunk(tool_calls=(ToolCallChunk(1, "a", "f", "{"),)), LLMChunk("text")
    other = ToolCallChunk(2, "b", "f", "{}")
    assert converter.convert(first) == (first,)
    assert converter.convert(LLMChunk(tool_calls=(other,))) == ()
    assert converter.convert(text) == (text,)
    (both,) = converter.convert(LLMChunk("more", tool_calls=(other, ToolCallChunk(1, arguments="}"))))
    assert both == LLMChunk("more", tool_calls=(ToolCallChunk(1, arguments="}"),))
    (done,) = converter.convert(Done(LLMChunk(finish_reason="tool_calls", tool_calls=(other,))))
    assert isinstance(done, Done)
    assert done.value == LLMChunk(finish_reason="tool_calls")
