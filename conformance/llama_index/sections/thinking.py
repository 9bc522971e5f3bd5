"""Thinking: a model's reasoning is available, separate from the answer, and not lost."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.base.llms.types import ThinkingBlock

from conformance.llama_index.call_modes import ask, each_chat, text, user
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Say
from conformance.llama_index.sections.agents import run
from conformance.llama_index.sections.tools import ADD, SUM

THOUGHT = "Twenty and twenty-two, that makes forty-two."
# DeepSeek and llama.cpp use the first field, vLLM and OpenRouter the second.
either_field = pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
STREAMS = ("stream_chat", "astream_chat")


def thinking_text(response: Any) -> str:
    """Return the text of a message's thinking blocks."""
    return "".join(block.content or "" for block in response.message.blocks if isinstance(block, ThinkingBlock))


class TestThinking:
    """Reasoning as servers of OpenAI's format send it."""

    @either_field
    @each_chat
    def test_thinking_is_a_block(self, bench: Bench, mode: str, field: str) -> None:
        """The last chunk of a stream has all of it. Needed by memory/memory.py."""
        llm, _ = bench.start(Say("It is 42.", reasoning=THOUGHT, reasoning_field=field))
        assert thinking_text(ask(llm, mode)[-1]) == THOUGHT

    @either_field
    @pytest.mark.parametrize("mode", STREAMS)
    def test_thinking_is_streamed(self, bench: Bench, mode: str, field: str) -> None:
        """As ``thinking_delta`` in ``additional_kwargs``. Needed by agent/workflow/function_agent.py."""
        llm, _ = bench.start(Say("It is 42.", reasoning=THOUGHT, reasoning_field=field))
        deltas = [response.additional_kwargs.get("thinking_delta") or "" for response in ask(llm, mode)]
        assert "".join(deltas) == THOUGHT
        assert len([delta for delta in deltas if delta]) > 1

    @each_chat
    def test_thinking_is_no_part_of_the_answer(self, bench: Bench, mode: str) -> None:
        """Neither in the content nor in the deltas. Needed by chat_engine/types.py."""
        llm, _ = bench.start(Say("It is 42.", reasoning=THOUGHT))
        responses = ask(llm, mode)
        assert text(responses[-1]) == "It is 42."
        if mode in STREAMS:
            assert "".join(response.delta for response in responses) == "It is 42."

    def test_an_agent_shows_thinking(self, bench: Bench) -> None:
        """While it works. Needed by agent/workflow/workflow_events.py."""
        llm, _ = bench.start(Say(reasoning=THOUGHT, calls=(SUM,)), Say("It is 42."))
        _, events = run(FunctionAgent(tools=[ADD], llm=llm))
        deltas = [event.thinking_delta or "" for event in events if isinstance(event, AgentStream)]
        assert "".join(deltas) == THOUGHT

    @each_chat
    def test_an_answer_with_thinking_goes_back(self, bench: Bench, mode: str) -> None:
        """Memories store it unchanged. Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say("It is 42.", reasoning=THOUGHT), Say("Yes."))
        answer = ask(llm, mode)[-1].message
        ask(llm, "chat", [*user("20 + 22?"), answer, *user("Sure?")])
        assert upstream.body.messages[1].content == "It is 42."
