"""LlamaIndex's agents, chat engines and synthesizers over the LLM under test."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentOutput, AgentStream, AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms.llm import LLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import NodeWithScore, TextNode

from conformance.llama_index.call_modes import each_chat, user
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Call, Refuse, Say, json_answer
from conformance.llama_index.sections.predicting import ACTION, ANSWER, DIVIDE
from conformance.llama_index.sections.structured import ADA, Person
from conformance.llama_index.sections.tools import ADD, RAIN, SUM, WEATHER
from integration_tests.support.upstream_schema import NamedChoice, ToolResult

either_way = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
NODES = [NodeWithScore(node=TextNode(text=text), score=1.0) for text in ("Llamas hum.", "Alpacas hum too.")]


def run(agent: Any, prompt: Any = "20 + 22?", **options: Any) -> tuple[Any, list[Any]]:
    """Run an agent; return its result and its events."""

    async def run_agent() -> tuple[Any, list[Any]]:
        # With a memory in RAM: the default one leaves a database open.
        handler = agent.run(prompt, memory=ChatMemoryBuffer.from_defaults(token_limit=4000), **options)
        events = [event async for event in handler.stream_events()]
        return await handler, events

    return asyncio.run(run_agent())


def results(body: Any) -> list[Any]:
    """Return the outputs of tools that the model received."""
    return [message.content for message in body.messages if isinstance(message, ToolResult)]


class TestAgents:
    """FunctionAgent, ReActAgent and AgentWorkflow."""

    @either_way
    def test_an_agent_calls_a_tool_and_answers(self, bench: Bench, *, streaming: bool) -> None:
        """Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say(calls=(SUM,)), Say("It is 42."))
        output, _ = run(FunctionAgent(tools=[ADD], llm=llm, streaming=streaming, system_prompt="Be brief."))
        assert output.response.content == "It is 42."
        assert results(upstream.body) == ["42"]
        assert len(upstream.bodies) == 2

    @either_way
    def test_an_agent_calls_tools_in_parallel(self, bench: Bench, *, streaming: bool) -> None:
        """Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say("Let me see.", (SUM, RAIN)), Say("42 and rain."))
        output, _ = run(FunctionAgent(tools=[ADD, WEATHER], llm=llm, streaming=streaming))
        assert output.response.content == "42 and rain."
        assert sorted(results(upstream.body)) == ["42", "Rain in Köln."]

    @either_way
    def test_an_agent_starts_with_the_tool_it_should(self, bench: Bench, *, streaming: bool) -> None:
        """Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say(calls=(SUM,)), Say("It is 42."))
        run(FunctionAgent(tools=[ADD, WEATHER], llm=llm, streaming=streaming, initial_tool_choice="add"))
        assert isinstance(choice := upstream.bodies[0].tool_choice, NamedChoice)
        assert choice.function.name == "add"

    @either_way
    def test_an_agent_without_tools_answers(self, bench: Bench, *, streaming: bool) -> None:
        """Needed by agent/workflow/function_agent.py."""
        llm, _ = bench.start(Say("It is 42."))
        output, _ = run(FunctionAgent(tools=[], llm=llm, streaming=streaming))
        assert output.response.content == "It is 42."

    @either_way
    def test_an_agent_copes_with_calls_without_identifiers(self, bench: Bench, *, streaming: bool) -> None:
        """Not every server gives them. Needed by agent/workflow/function_agent.py."""
        calls = (Call(SUM.name, SUM.arguments, None), Call(RAIN.name, RAIN.arguments, None))
        llm, upstream = bench.start(Say(calls=calls), Say("42 and rain."))
        output, _ = run(FunctionAgent(tools=[ADD, WEATHER], llm=llm, streaming=streaming))
        assert output.response.content == "42 and rain."
        assert sorted(results(upstream.body)) == ["42", "Rain in Köln."]

    @either_way
    def test_an_agent_tells_the_model_that_a_tool_failed(self, bench: Bench, *, streaming: bool) -> None:
        """Needed by agent/workflow/base_agent.py."""
        llm, upstream = bench.start(Say(calls=(Call("divide", '{"a": 1, "b": 0}'),)), Say("That cannot be done."))
        output, _ = run(FunctionAgent(tools=[DIVIDE], llm=llm, streaming=streaming))
        assert output.response.content == "That cannot be done."
        assert "zero" in results(upstream.body)[0]

    def test_an_agents_events_can_be_written_down(self, bench: Bench) -> None:
        """As JSON, including ``raw``; they are served in this form. Needed by agent/workflow/workflow_events.py."""
        llm, _ = bench.start(Say(calls=(SUM,)), Say("It is 42."))
        _, events = run(FunctionAgent(tools=[ADD], llm=llm))
        dumps = [event.model_dump_json() for event in events if isinstance(event, AgentStream | AgentOutput)]
        assert len(dumps) > 2
        streamed = [event.delta for event in events if isinstance(event, AgentStream)]
        assert "".join(streamed) == "It is 42."

    def test_an_agent_answers_in_a_shape(self, bench: Bench) -> None:
        """A failure there is only a warning. Needed by agent/workflow/base_agent.py."""
        llm, _ = bench.start(Say("Ada did, at 36."), json_answer(ADA))
        output, _ = run(FunctionAgent(tools=[ADD], llm=llm, output_cls=Person), "Who wrote the first program?")
        assert output.structured_response == ADA

    @either_way
    def test_an_agent_does_not_hide_a_failure(self, bench: Bench, *, streaming: bool) -> None:
        """It must not look like an empty answer. Needed by agent/workflow/function_agent.py."""
        llm, _ = bench.start(Refuse(500))
        with pytest.raises(Exception):  # noqa: B017, PT011 - every LLM has its own exceptions
            run(FunctionAgent(tools=[ADD], llm=llm, streaming=streaming))

    @either_way
    def test_an_agent_reasons_by_prompt(self, bench: Bench, *, streaming: bool) -> None:
        """With any model that chats. Needed by agent/workflow/react_agent.py."""
        llm, upstream = bench.start_without_functions(Say(ACTION), Say(ANSWER))
        output, _ = run(ReActAgent(tools=[ADD], llm=llm, streaming=streaming))
        assert output.response.content == "It is 42."
        assert "42" in str(upstream.body.messages[-1].content)

    @pytest.mark.parametrize("functions", [True, False], ids=["functions", "prompt"])
    def test_a_workflow_chooses_the_agent_that_fits(self, bench: Bench, *, functions: bool) -> None:
        """By the metadata. Needed by agent/workflow/multi_agent_workflow.py."""
        if functions:
            llm, _ = bench.start(Say(calls=(SUM,)), Say("It is 42."))
        else:
            llm, _ = bench.start_without_functions(Say(ACTION), Say(ANSWER))
        output, _ = run(AgentWorkflow.from_tools_or_functions([ADD], llm=llm))
        assert output.response.content == "It is 42."

    def test_an_agent_hands_over_to_another(self, bench: Bench) -> None:
        """With the conversation so far. Needed by agent/workflow/multi_agent_workflow.py."""
        handoff = Call("handoff", '{"to_agent": "clerk", "reason": "She counts."}')
        llm, _ = bench.start(Say(calls=(handoff,)), Say(calls=(SUM,)), Say("It is 42."))
        first = FunctionAgent(name="porter", description="Opens doors.", llm=llm, can_handoff_to=["clerk"])
        second = FunctionAgent(name="clerk", description="Counts.", llm=llm, tools=[ADD])
        output, _ = run(AgentWorkflow(agents=[first, second], root_agent="porter"))
        assert (output.current_agent_name, output.response.content) == ("clerk", "It is 42.")


class TestEngines:
    """Chat engines and response synthesizers."""

    @each_chat
    def test_a_chat_engine_remembers(self, bench: Bench, mode: str) -> None:
        """Both sides of the conversation. Needed by chat_engine/simple.py."""
        llm, upstream = bench.start(Say("Hello yourself."), Say("You said hello."))
        engine = SimpleChatEngine.from_defaults(llm=llm, memory=ChatMemoryBuffer.from_defaults(llm=llm))

        async def talk() -> str:
            first: Any = await getattr(engine, mode)("Hello.")
            if "stream" in mode:
                return "".join([chunk async for chunk in first.async_response_gen()])
            return str(first)

        if mode.startswith("a"):
            answer = asyncio.run(talk())
        else:
            first: Any = getattr(engine, mode)("Hello.")
            answer = "".join(first.response_gen) if "stream" in mode else str(first)
        assert answer == "Hello yourself."
        engine.chat("What did I say?")
        assert [message.content for message in upstream.body.messages] == [
            "Hello.",
            "Hello yourself.",
            "What did I say?",
        ]

    @pytest.mark.parametrize("how", ["sync", "async", "streaming"])
    @pytest.mark.parametrize("kind", [ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE])
    def test_an_answer_is_synthesized(self, bench: Bench, kind: ResponseMode, how: str) -> None:
        """From passages, in every common mode. Needed by response_synthesizers/factory.py."""
        llm, upstream = bench.start(Say("They hum."))
        synthesizer = get_response_synthesizer(llm=llm, response_mode=kind, streaming=how == "streaming")
        if how == "async":
            answer = str(asyncio.run(synthesizer.asynthesize("What do they do?", nodes=NODES)))
        else:
            response: Any = synthesizer.synthesize("What do they do?", nodes=NODES)
            answer = "".join(response.response_gen) if how == "streaming" else str(response)
        assert answer == "They hum."
        assert "hum" in str(upstream.bodies[0].messages)

    def test_the_llm_may_be_a_field(self, bench: Bench) -> None:
        """Agents declare it as a Pydantic field, which checks its class. Needed by agent/workflow/base_agent.py."""
        llm, _ = bench.start(Say("Yes."))
        assert isinstance(llm, LLM)
        assert FunctionAgent(tools=[ADD], llm=llm).llm is llm
        assert user("Yes?")
