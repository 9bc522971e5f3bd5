"""The LlamaIndex adapter behaves as the client: the same targets, attempts, waits and errors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from tests.client.test_four_ways import SCRIPTS
from tests.langchain.test_parity import QUESTION, Story, story
from tests.support.llama_index_calls import HELLO, WAYS, collected
from tests.support.scripted_targets import ScriptedTargets
from unified_llm import LLMClient
from unified_llm.llama_index import UnifiedLLM


@cache
def by_client(name: str) -> Story:
    chain, script = SCRIPTS[name]
    return story(
        ScriptedTargets(script),
        lambda hear: LLMClient(chain[0], fallbacks=chain[1:], on_attempt=hear).generate(QUESTION),
    )


def by_model(chain: Sequence[str], script: Any, way: str) -> Story:
    return story(
        ScriptedTargets(script),
        lambda hear: WAYS[way](UnifiedLLM(model=chain[0], fallbacks=chain[1:], on_attempt=hear)),
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_model_of_llama_index_reports_what_the_client_reports(way: str) -> None:
    for name, (chain, script) in SCRIPTS.items():
        assert by_model(chain, script, way) == by_client(name), name


async def test_many_calls_at_once_do_not_mix() -> None:
    (first, *others), script = SCRIPTS["silence"]
    with ScriptedTargets(script).running() as targets:
        llm = UnifiedLLM(model=first, fallbacks=others)
        calls = [llm.achat(HELLO), llm.acomplete("Hello?"), collected(llm.astream_chat(HELLO))]
        done = await asyncio.gather(*calls, return_exceptions=True)
    assert len(done) == 3
    assert targets.open == 0
