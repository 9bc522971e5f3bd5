"""How long ``ChatUnified`` and ``UnifiedLLM`` wait by default for a primary that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from tests.support.each import each
from tests.support.scripted_targets import Pause, ScriptedTargets, say
from unified_llm import reset_health
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import Attempt

KEY = "sk-a-key-of-a-test"
MINI, GPT, BACKUP = "openai/gpt-5-mini", "openai/gpt-4o", "openai/gpt-4.1"

Call = Callable[[str, Callable[[Attempt], None], Mapping[str, Any]], Any]


def _chat(model: str, on_attempt: Callable[[Attempt], None], fields: Mapping[str, Any]) -> ChatUnified:
    fallbacks = [{"model": BACKUP, "api_key": KEY}]
    return ChatUnified(model=model, api_key=KEY, fallbacks=fallbacks, on_attempt=on_attempt, **fields)


def _llm(model: str, on_attempt: Callable[[Attempt], None], fields: Mapping[str, Any]) -> UnifiedLLM:
    fallbacks = [{"model": BACKUP, "api_key": KEY}]
    return UnifiedLLM(model=model, api_key=KEY, fallbacks=fallbacks, on_attempt=on_attempt, **fields)


async def _astream(chat: ChatUnified) -> None:
    async for _ in chat.astream("Hi"):
        pass


WHOLE: Mapping[str, Call] = {
    "invoke": lambda *given: _chat(*given).invoke("Hi"),
    "ainvoke": lambda *given: asyncio.run(_chat(*given).ainvoke("Hi")),
    "bound": lambda model, seen, fields: _chat(model, seen, {}).bind(**fields).invoke("Hi"),
    "complete": lambda *given: _llm(*given).complete("Hi"),
    "chat": lambda model, seen, fields: _llm(model, seen, {}).chat([ChatMessage("Hi")], **fields),
}
STREAMS: Mapping[str, Call] = {
    "stream": lambda *given: list(_chat(*given).stream("Hi")),
    "astream": lambda *given: asyncio.run(_astream(_chat(*given))),
    "stream_complete": lambda *given: list(_llm(*given).stream_complete("Hi")),
}


@each(
    ("model", "fields", "first_token", "whole"),
    [
        (GPT, {}, 20, 60),
        (MINI, {}, 60, 180),
        (MINI, {"reasoning_effort": "high"}, 300, 540),
        (GPT, {"timeout": 5}, 5, 5),
    ],
)
def test_a_primary_that_hangs_is_given_up_in_time(
    model: str, fields: Mapping[str, Any], first_token: float, whole: float
) -> None:
    for calls, expected in ((WHOLE, whole), (STREAMS, first_token)):
        for name, call in calls.items():
            reset_health()
            seen: list[Attempt] = []
            with ScriptedTargets({model: [[Pause()]], BACKUP: [say("Hello")]}).running():
                call(model, seen.append, fields)
            assert seen[0].seconds == pytest.approx(expected), name
