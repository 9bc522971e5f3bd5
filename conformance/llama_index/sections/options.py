"""Options of a call: they apply to that call, and take precedence over those of the constructor."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.llama_index.call_modes import ask, collect, each_mode, each_tool_mode
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Say
from conformance.llama_index.sections.tools import ADD, SUM
from integration_tests.support.upstream_schema import ChatBody


def limit(body: ChatBody) -> int | None:
    """Return the maximum number of tokens, under either of its names."""
    return body.max_completion_tokens or body.max_tokens


class TestCallOptions:
    """``**kwargs`` of the eight endpoints, which synthesizers and programs pass on."""

    @each_mode
    def test_what_it_was_made_with_is_sent(self, bench: Bench, mode: str) -> None:
        """Including a temperature of 0. Needed by llms/llm.py."""
        llm, upstream = bench.start(Say("Yes."), temperature=0.0, max_tokens=7)
        ask(llm, mode)
        assert (upstream.body.temperature, limit(upstream.body)) == (0.0, 7)

    @each_mode
    def test_a_calls_own_temperature_counts(self, bench: Bench, mode: str) -> None:
        """Needed by base/llms/base.py, whose methods take it."""
        llm, upstream = bench.start(Say("Yes."), temperature=0.25)
        ask(llm, mode, temperature=0.0)
        assert upstream.body.temperature == 0.0

    @each_mode
    def test_a_calls_own_limit_counts(self, bench: Bench, mode: str) -> None:
        """Needed by base/llms/base.py, whose methods take it."""
        llm, upstream = bench.start(Say("Yes."), max_tokens=7)
        ask(llm, mode, max_tokens=99)
        assert limit(upstream.body) == 99

    @each_mode
    def test_other_fields_are_sent(self, bench: Bench, mode: str) -> None:
        """Needed by base/llms/base.py, whose methods take them."""
        llm, upstream = bench.start(Say("Yes."))
        ask(llm, mode, seed=7, top_p=0.5, stop=["END"])
        assert (upstream.body.seed, upstream.body.top_p, upstream.body.stop) == (7, 0.5, ["END"])

    @each_tool_mode
    def test_they_are_sent_with_tools_too(self, bench: Bench, mode: str) -> None:
        """Needed by program/function_program.py."""
        llm, upstream = bench.start(Say(calls=(SUM,)), temperature=0.25)
        collect(llm, mode, [ADD], user_msg="20 + 22?", temperature=0.5, seed=7)
        assert (upstream.body.temperature, upstream.body.seed) == (0.5, 7)

    @pytest.mark.parametrize("mode", ["chat", "stream_chat"])
    def test_one_call_leaves_no_trace_in_the_next(self, bench: Bench, mode: str) -> None:
        """Needed by settings.py: one LLM serves everybody."""
        llm, upstream = bench.start(Say("Yes."), temperature=0.25)
        options: dict[str, Any] = {"temperature": 0.75, "seed": 7, "stop": ["END"]}
        ask(llm, mode, **options)
        ask(llm, mode)
        assert (upstream.body.temperature, upstream.body.seed, upstream.body.stop) == (0.25, None, None)
