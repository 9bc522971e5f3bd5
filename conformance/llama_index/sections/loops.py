"""Event loops and threads: LlamaIndex creates loops as needed, and uses one LLM in all of them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.async_utils import asyncio_run
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer

from conformance.llama_index.call_modes import acollect, ask, each_mode, text, user
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Say
from conformance.llama_index.sections.agents import NODES
from integration_tests.support.upstream_schema import ChatBody

ASYNC = ("achat", "acomplete", "astream_chat", "astream_complete")
each_async = pytest.mark.parametrize("mode", ASYNC)


def echo(body: ChatBody) -> Say:
    """Answer with the text of the last message."""
    return Say(str(body.messages[-1].content))


async def aask(llm: Any, mode: str, prompt: str) -> str:
    """Call an async endpoint in the running loop; return its text."""
    return text((await acollect(llm, mode, user(prompt) if "chat" in mode else prompt))[-1])


class TestLoopsAndThreads:
    """One LLM, called from several loops and threads."""

    @pytest.mark.parametrize("retries", [0, 2])
    @each_async
    def test_it_works_in_one_loop_after_another(self, bench: Bench, mode: str, retries: int) -> None:
        """With one request each time: connections do not outlive their loop. Needed by async_utils.py."""
        llm, upstream = bench.start(echo, max_retries=retries)
        for number in range(3):
            assert text(ask(llm, mode, f"Loop {number}.")[-1]) == f"Loop {number}."
        assert len(upstream.bodies) == 3

    @each_async
    def test_it_works_beneath_a_running_loop(self, bench: Bench, mode: str) -> None:
        """In a thread with its own loop, while the outer loop uses it too. Needed by async_utils.py."""
        llm, upstream = bench.start(echo)

        async def outer() -> list[str]:
            first = await aask(llm, mode, "Outside.")
            beneath = asyncio_run(aask(llm, mode, "Beneath."))
            return [first, beneath, await aask(llm, mode, "Outside again.")]

        assert asyncio.run(outer()) == ["Outside.", "Beneath.", "Outside again."]
        assert len(upstream.bodies) == 3

    @each_async
    def test_async_calls_run_concurrently(self, bench: Bench, mode: str) -> None:
        """None of them blocks the loop. Needed by async_utils.py, for synthesizers and extractors."""
        llm, upstream = bench.start(echo)
        upstream.barrier = threading.Barrier(3)

        async def three() -> list[str]:
            return await asyncio.gather(*(aask(llm, mode, f"Call {number}.") for number in range(3)))

        assert asyncio.run(three()) == ["Call 0.", "Call 1.", "Call 2."]
        assert not upstream.timed_out, "each call waited for the previous one"

    @each_mode
    def test_threads_do_not_mix_answers(self, bench: Bench, mode: str) -> None:
        """Web servers call one LLM from many. Needed by chat_engine/types.py."""
        llm, upstream = bench.start(echo)
        prompts = [f"Thread {number}." for number in range(8)]
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda prompt: text(ask(llm, mode, prompt)[-1]), prompts))
        assert answers == prompts
        assert len(upstream.bodies) == 8

    def test_a_synthesizer_may_use_async_beneath_a_loop(self, bench: Bench) -> None:
        """``use_async=True`` in sync code that runs inside a loop, twice. Needed by async_utils.py."""
        llm, _ = bench.start(Say("They hum."))
        synthesizer = get_response_synthesizer(llm=llm, response_mode=ResponseMode.ACCUMULATE, use_async=True)

        async def outer() -> list[str]:
            return [str(synthesizer.synthesize("What do they do?", nodes=NODES)) for _ in range(2)]

        assert all("They hum." in answer for answer in asyncio.run(outer()))
