"""Thinking: what a model says to itself is shown, kept apart from what it answers, and not lost."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.base.llms.types import ThinkingBlock

from conformance.llama_index.asking import ask, each_chat, text, user
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Say
from conformance.llama_index.sections.agents import run
from conformance.llama_index.sections.tools import ADD, SUM

THOUGHT = "Twenty and twenty-two, that makes forty-two."
# DeepSeek and llama.cpp have the one field for it, vLLM and OpenRouter the other.
either_field = pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
STREAMS = ("stream_chat", "astream_chat")


def thought(response: Any) -> str:
    """What the thinking blocks of a message hold."""
    return "".join(block.content or "" for block in response.message.blocks if isinstance(block, ThinkingBlock))


class TestThinking:
    """Reasoning as servers of OpenAI's format send it."""

    @either_field
    @each_chat
    def test_thinking_is_a_block(self, bench: Bench, mode: str, field: str) -> None:
        """The last chunk of a stream has it whole. Needed by memory/memory.py."""
        llm, _ = bench.start(Say("It is 42.", reasoning=THOUGHT, reasoning_field=field))
        assert thought(ask(llm, mode)[-1]) == THOUGHT

    @either_field
    @pytest.mark.parametrize("mode", STREAMS)
    def test_thinking_is_streamed(self, bench: Bench, mode: str, field: str) -> None:
        """As ``thinking_delta`` among the extras of the response. Needed by agent/workflow/function_agent.py."""
        llm, _ = bench.start(Say("It is 42.", reasoning=THOUGHT, reasoning_field=field))
        deltas = [each.additional_kwargs.get("thinking_delta") or "" for each in ask(llm, mode)]
        assert "".join(deltas) == THOUGHT
        assert len([each for each in deltas if each]) > 1

    @each_chat
    def test_thinking_is_no_part_of_the_answer(self, bench: Bench, mode: str) -> None:
        """Neither of the content nor of the deltas. Needed by chat_engine/types.py."""
        llm, _ = bench.start(Say("It is 42.", reasoning=THOUGHT))
        given = ask(llm, mode)
        assert text(given[-1]) == "It is 42."
        if mode in STREAMS:
            assert "".join(each.delta for each in given) == "It is 42."

    def test_an_agent_shows_thinking(self, bench: Bench) -> None:
        """While it works. Needed by agent/workflow/workflow_events.py."""
        llm, _ = bench.start(Say(reasoning=THOUGHT, calls=(SUM,)), Say("It is 42."))
        _, events = run(FunctionAgent(tools=[ADD], llm=llm))
        shown = [each.thinking_delta or "" for each in events if isinstance(each, AgentStream)]
        assert "".join(shown) == THOUGHT

    @each_chat
    def test_an_answer_with_thinking_goes_back(self, bench: Bench, mode: str) -> None:
        """Memories hold it as it came. Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say("It is 42.", reasoning=THOUGHT), Say("Yes."))
        answer = ask(llm, mode)[-1].message
        ask(llm, "chat", [*user("20 + 22?"), answer, *user("Sure?")])
        assert upstream.body.messages[1].content == "It is 42."
