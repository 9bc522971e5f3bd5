"""The eight endpoints: their arguments and results."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatResponse, CompletionResponse, MessageRole
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.utils import resolve_llm
from llama_index.core.prompts import PromptTemplate

from conformance.llama_index.call_modes import (
    ask,
    collect,
    each_chat,
    each_completion,
    each_mode,
    each_stream,
    text,
    user,
)
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Say

TEXT = "Grüße aus Köln: the breaker opens, and the next one answers. 🦙"


class TestEndpoints:
    """chat, complete and their streams, sync and async."""

    def test_it_is_a_function_calling_llm(self, bench: Bench) -> None:
        """Agents and programs check the class, not the abilities. Needed by program/function_program.py."""
        llm, _ = bench.start(Say(TEXT))
        assert isinstance(llm, FunctionCallingLLM)
        assert resolve_llm(llm) is llm

    @each_mode
    def test_it_answers_with_the_type_of_its_endpoint(self, bench: Bench, mode: str) -> None:
        """A chat response for a chat, a completion for a completion. Needed by instrumentation/events/llm.py."""
        llm, upstream = bench.start(Say(TEXT))
        answers = ask(llm, mode)
        kind = ChatResponse if "chat" in mode else CompletionResponse
        assert all(isinstance(response, kind) for response in answers)
        assert text(answers[-1]) == TEXT
        assert len(upstream.bodies) == 1

    @each_chat
    def test_the_assistant_speaks(self, bench: Bench, mode: str) -> None:
        """The role is stored in memories and sent back to the model. Needed by agent/workflow/function_agent.py."""
        llm, _ = bench.start(Say(TEXT))
        assert {response.message.role for response in ask(llm, mode)} == {MessageRole.ASSISTANT}

    @each_stream
    def test_a_stream_is_a_real_generator(self, bench: Bench, mode: str) -> None:
        """Only generators are recognised as streams; other iterators count as answers. Needed by llms/callbacks.py."""
        llm, _ = bench.start(Say(TEXT))
        prompt: Any = user("Hello.") if "chat" in mode else "Hello."
        if not mode.startswith("a"):
            chunks = getattr(llm, mode)(prompt)
            assert isinstance(chunks, Generator)
            assert len(list(chunks)) > 1
            return

        async def stream() -> None:
            chunks = await getattr(llm, mode)(prompt)
            assert isinstance(chunks, AsyncGenerator)
            assert len([chunk async for chunk in chunks]) > 1

        asyncio.run(stream())

    @each_stream
    def test_each_chunk_holds_what_is_new_and_all_so_far(self, bench: Bench, mode: str) -> None:
        """``delta`` is the new part, the content is all so far. Needed by agent/workflow/base_agent.py."""
        llm, _ = bench.start(Say(TEXT))
        so_far = ""
        for response in ask(llm, mode):
            so_far += response.delta or ""
            assert text(response) == so_far
        assert so_far == TEXT

    @each_stream
    def test_no_delta_is_none(self, bench: Bench, mode: str) -> None:
        """LlamaIndex's own examples print it. Needed by base/llms/base.py."""
        llm, _ = bench.start(Say(TEXT))
        assert all(isinstance(response.delta, str) for response in ask(llm, mode))

    @each_stream
    def test_chunks_come_while_the_model_still_speaks(self, bench: Bench, mode: str) -> None:
        """A stream must not arrive all at once. Needed by chat_engine/types.py."""
        llm, upstream = bench.start(Say(TEXT))
        upstream.gate = threading.Event()
        prompt: Any = user("Hello.") if "chat" in mode else "Hello."

        async def astream() -> str:
            last = None
            async for last in await getattr(llm, mode)(prompt):
                if text(last) and upstream.gate:
                    upstream.gate.set()
            return text(last) if last else ""

        def stream() -> str:
            last = None
            for last in getattr(llm, mode)(prompt):
                if text(last) and upstream.gate:
                    upstream.gate.set()
            return text(last) if last else ""

        assert (asyncio.run(astream()) if mode.startswith("a") else stream()) == TEXT
        assert not upstream.timed_out, "no chunk arrived before the stream was complete"

    @each_completion
    def test_the_prompt_may_have_its_name(self, bench: Bench, mode: str) -> None:
        """It is passed both by position and by keyword. Needed by llms/callbacks.py."""
        llm, upstream = bench.start(Say(TEXT))
        assert text(collect(llm, mode, prompt="By name.")[-1]) == TEXT
        assert "By name." in str(upstream.body.messages[-1].content)

    @each_completion
    def test_a_prompt_given_twice_or_not_at_all_is_refused(self, bench: Bench, mode: str) -> None:
        """Before a request is sent. Needed by llms/callbacks.py."""
        llm, upstream = bench.start(Say(TEXT))
        with pytest.raises((TypeError, ValueError)):
            collect(llm, mode, "Once.", prompt="Twice.")
        with pytest.raises((TypeError, ValueError)):
            collect(llm, mode)
        assert upstream.bodies == []

    @each_completion
    def test_a_prompt_may_be_formatted(self, bench: Bench, mode: str) -> None:
        """``formatted=True`` is not a field of the request. Needed by llms/llm.py."""
        llm, upstream = bench.start(Say(TEXT))
        assert text(collect(llm, mode, "Formatted.", formatted=True)[-1]) == TEXT
        assert len(upstream.bodies) == 1

    @pytest.mark.parametrize("method", ["predict", "apredict"])
    def test_it_predicts(self, bench: Bench, method: str) -> None:
        """Every synthesizer that does not stream calls it. Needed by response_synthesizers/refine.py."""
        llm, upstream = bench.start(Say(TEXT))
        assert collect(llm, method, PromptTemplate("Why {what}?"), what="failover") == [TEXT]
        assert "Why failover?" in str(upstream.body.messages[-1].content)

    @pytest.mark.parametrize("method", ["stream", "astream"])
    def test_it_streams_a_prediction(self, bench: Bench, method: str) -> None:
        """Every synthesizer that streams calls it. Needed by response_synthesizers/refine.py."""
        llm, _ = bench.start(Say(TEXT))
        assert "".join(collect(llm, method, PromptTemplate("Why {what}?"), what="failover")) == TEXT

    def test_it_speaks_as_its_system_prompt_says(self, bench: Bench) -> None:
        """The constructor takes one, and it is the first message. Needed by llms/llm.py."""
        llm, upstream = bench.start(Say(TEXT), system_prompt="Speak like a llama.")
        collect(llm, "predict", PromptTemplate("Hello."))
        first = upstream.body.messages[0]
        assert (first.role, first.content) == ("system", "Speak like a llama.")
