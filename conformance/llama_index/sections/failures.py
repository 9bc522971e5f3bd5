"""Failures and retries: an outage raises an exception, after as many retries as configured.

LlamaIndex has no retries of its own: what a caller sees of an outage depends on the LLM alone.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer

from conformance.llama_index.call_modes import STREAMS, ask, each_mode, each_stream, each_whole, text
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Break, Hang, Refuse, Say
from conformance.llama_index.upstream import unreachable_server

SOME_MODES = ("chat", "achat", "stream_chat", "astream_chat")
some_modes = pytest.mark.parametrize("mode", SOME_MODES)
any_error = pytest.raises(Exception)  # noqa: PT011 - every LLM has its own exceptions


class TestFailures:
    """What callers see of an outage."""

    @each_mode
    @pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
    def test_a_refusal_is_raised(self, bench: Bench, mode: str, status: int) -> None:
        """A query engine cannot detect it in any other way. Needed by chat_engine/types.py."""
        llm, _ = bench.start(Refuse(status))
        with any_error:
            ask(llm, mode)

    @each_mode
    def test_a_server_that_is_not_there_is_raised(self, bench: Bench, mode: str) -> None:
        """Needed by chat_engine/types.py."""
        with unreachable_server() as url, any_error:
            ask(bench.llm(url), mode)

    @some_modes
    def test_a_server_that_hangs_is_raised_in_time(self, bench: Bench, mode: str) -> None:
        """``timeout`` is in seconds. Needed by chat_engine/types.py, whose readers wait without a limit."""
        llm, _ = bench.start(Hang(6.0), timeout=0.4)
        started = time.monotonic()
        with any_error:
            ask(llm, mode)
        assert time.monotonic() - started < 5.0

    @each_whole
    def test_half_a_body_is_raised(self, bench: Bench, mode: str) -> None:
        """Needed by llms/llm.py."""
        llm, _ = bench.start(Break("dropped"))
        with any_error:
            ask(llm, mode)

    @pytest.mark.parametrize("manner", ["dropped", "ended", "error"])
    @each_stream
    def test_a_truncated_stream_raises_an_error(self, bench: Bench, mode: str, manner: Any) -> None:
        """Half an answer would be stored in the memory as a whole one. Needed by chat_engine/types.py."""
        llm, _ = bench.start(Break(manner))
        with any_error:
            ask(llm, mode)

    @pytest.mark.parametrize("manner", ["dropped", "ended"])
    @each_stream
    def test_a_stream_with_nothing_in_it_is_raised(self, bench: Bench, mode: str, manner: Any) -> None:
        """Agents would treat it as an empty answer. Needed by agent/workflow/function_agent.py."""
        llm, _ = bench.start(Break(manner, ""))
        with any_error:
            ask(llm, mode)

    @pytest.mark.parametrize("manner", ["dropped", "ended", "error"])
    def test_a_chat_engine_passes_it_on(self, bench: Bench, manner: Any) -> None:
        """To the reader of the stream, through its queue. Needed by chat_engine/types.py."""
        llm, _ = bench.start(Break(manner))
        # With a memory in RAM: the default one leaves a database open, which fails if collected in a loop that ends.
        engine = SimpleChatEngine.from_defaults(llm=llm, memory=ChatMemoryBuffer.from_defaults(llm=llm))
        response: Any = engine.stream_chat("Hello.")
        with any_error:
            list(response.response_gen)


class TestRetries:
    """How many requests an outage costs."""

    @some_modes
    @pytest.mark.parametrize("status", [429, 500])
    def test_no_more_is_asked_than_was_agreed(self, bench: Bench, mode: str, status: int) -> None:
        """``max_retries=1`` is two requests at most. Needed by callbacks/token_counting.py, which sees one call."""
        llm, upstream = bench.start(Refuse(status), max_retries=1)
        with any_error:
            ask(llm, mode)
        assert len(upstream.bodies) <= 2

    @some_modes
    def test_no_retries_are_none(self, bench: Bench, mode: str) -> None:
        """``max_retries=0`` is one request. Needed by callbacks/token_counting.py, which sees one call."""
        llm, upstream = bench.start(Refuse(500))
        with any_error:
            ask(llm, mode)
        assert len(upstream.bodies) == 1

    @some_modes
    def test_a_short_outage_is_not_noticed(self, bench: Bench, mode: str) -> None:
        """If retries are configured. Needed by ingestion/pipeline.py, which loses all its work to one failure."""
        llm, upstream = bench.start(Refuse(500), Say("Yes."), max_retries=1)
        assert text(ask(llm, mode)[-1]) == "Yes."
        assert len(upstream.bodies) == 2

    @some_modes
    def test_what_is_wrong_is_not_tried_again(self, bench: Bench, mode: str) -> None:
        """A retry cannot fix a bad request. Needed by ingestion/pipeline.py."""
        llm, upstream = bench.start(Refuse(400), max_retries=2)
        with any_error:
            ask(llm, mode)
        assert len(upstream.bodies) == 1

    @pytest.mark.parametrize("mode", ["chat", *STREAMS[:2]])
    def test_a_provider_that_names_a_time_is_given_it(self, bench: Bench, mode: str) -> None:
        """By ``Retry-After``. Needed by ingestion/pipeline.py, which rate limits stop more often than anything else."""
        llm, upstream = bench.start(Refuse(429, {"Retry-After": "1"}), Say("Yes."), max_retries=1)
        assert text(ask(llm, mode)[-1]) == "Yes."
        waits = [later - earlier for earlier, later in itertools.pairwise(upstream.times)]
        assert len(waits) == 1
        assert 0.9 <= waits[0] < 10.0  # on a busy machine, too
