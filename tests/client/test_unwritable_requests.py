"""Requests that the first target's format cannot carry, through the real HTTP code (langchain F and M)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import WAYS, Way, outcome_of
from tests.support.text_server import TextServer
from unified_llm import LLMClient
from unified_llm.exceptions import ValidationError
from unified_llm.types import Tool

KEY = "sk-CANARY-of-unwritable"
BLANK = {"messages": [{"role": "user", "content": " "}]}
SEARCH = [Tool.from_dict({"type": "web_search_preview"})]  # OpenAI's own


def chain(*models: str) -> LLMClient:
    return LLMClient(
        {"model": models[0], "api_key": KEY, "max_retries": 0},
        fallbacks=[
            *({"model": model, "api_key": KEY, "max_retries": 0} for model in models[1:]),
            {"model": "openai-compatible/m", "base_url": TextServer.url},
        ],
    )


@pytest.mark.parametrize("way", WAYS)
def test_langchain_m_the_next_target_is_asked(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    for prompt, options in ((BLANK, {}), ("x", {"tools": SEARCH})):
        with monkeypatch.context() as patch:
            server = TextServer(patch, "third", stream="stream" in way)
            client = chain("anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash")
            outcome = outcome_of(way, client, prompt, **options)
            assert outcome.content == "third", outcome
            assert [attempt[:2] for attempt in outcome.attempts] == [
                ("anthropic/claude-haiku-4-5", "skipped"),
                ("gemini/gemini-2.5-flash", "skipped"),
                ("openai-compatible/m", "ok"),
            ]
            assert len(server.requests) == 1


def test_langchain_m_a_hedged_call_asks_the_next_target_too(monkeypatch: pytest.MonkeyPatch) -> None:
    TextServer(monkeypatch, "third")
    answer: Any = asyncio.run(chain("anthropic/claude-haiku-4-5").agenerate(BLANK, hedge_after=5.0))
    assert answer.content == "third"


@each("way", WAYS)
def test_langchain_m_alone_such_a_target_is_an_error_that_says_why(way: Way) -> None:
    client = LLMClient("anthropic/claude-haiku-4-5", api_key=KEY)
    outcome = outcome_of(way, client, BLANK)
    assert outcome.error is not None
    assert issubclass(outcome.error, ValidationError)
    assert "no message in it has content" in outcome.message
