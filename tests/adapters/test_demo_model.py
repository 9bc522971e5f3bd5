"""The demo model in a chain: one warning when the chain is made, and a mark on every response that it served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient
from unified_llm._core.outcome import Failure
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM

if TYPE_CHECKING:
    import pytest

MODEL, DEMO = "ollama/llama3.2", "mlx/demo"
SURFACES: tuple[Callable[..., Any], ...] = (LLMClient, ChatUnified, UnifiedLLM)
CHAINS: dict[str, tuple[str, list[Any]]] = {
    "alone": (DEMO, []),
    "last": (MODEL, [DEMO]),
    "first": (DEMO, [MODEL]),
    "twice": (DEMO, [{"model": DEMO, "temperature": 1.0}]),
    "with a provider": (MODEL, [{"provider": "mlx", "model": "demo"}]),
}


def demo_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return [warning for warning in warnings if "in the chain more than once" not in warning]


@each("surface, chain", [(surface, chain) for surface in SURFACES for chain in CHAINS])
def test_a_chain_with_the_demo_model_warns_once_when_it_is_made(
    surface: Callable[..., Any], chain: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    model, fallbacks = CHAINS[chain]
    made = surface(model, fallbacks=fallbacks)
    (warning,) = demo_warnings(caplog)
    assert warning.startswith("mlx/demo is a demo model")
    assert "ollama/llama3.2" in warning
    with ScriptedTargets({DEMO: [say("Hello")], MODEL: [say("Hello")]}).running():
        (made.generate if surface is LLMClient else made.invoke if surface is ChatUnified else made.complete)("Hello?")
    assert len(demo_warnings(caplog)) == 1


@each("surface", SURFACES)
def test_a_chain_without_it_does_not_warn(surface: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    surface(MODEL, fallbacks=["ollama/demo"])
    assert demo_warnings(caplog) == []


def plain(response: Any) -> bool:
    return bool(response.attempts[-1].demo)


def from_langchain(message: Any) -> bool:
    return bool(message.response_metadata["unified_llm"].get("demo", False))


def from_llama_index(response: Any) -> bool:
    return bool(response.raw["unified_llm"].get("demo", False))


async def last(chunks: Any) -> Any:
    return [chunk async for chunk in chunks][-1]


async def last_of(chunks: Any) -> Any:
    return await last(await chunks)


def client() -> LLMClient:
    return LLMClient(MODEL, fallbacks=[DEMO], max_retries=0)


def chat_unified() -> ChatUnified:
    return ChatUnified(model=MODEL, fallbacks=[DEMO], max_retries=0)


def unified_llm() -> UnifiedLLM:
    return UnifiedLLM(model=MODEL, fallbacks=[DEMO], max_retries=0)


CALLS: dict[str, Callable[[], bool]] = {
    "generate": lambda: plain(client().generate("Hello?")),
    "agenerate": lambda: plain(asyncio.run(client().agenerate("Hello?"))),
    "the last chunk of stream": lambda: plain([*client().stream("Hello?")][-1]),
    "the last chunk of astream": lambda: plain(asyncio.run(last(client().astream("Hello?")))),
    "invoke": lambda: from_langchain(chat_unified().invoke("Hello?")),
    "ainvoke": lambda: from_langchain(asyncio.run(chat_unified().ainvoke("Hello?"))),
    "LangChain's sum of chunks": lambda: from_langchain(sum_of([*chat_unified().stream("Hello?")])),
    "complete": lambda: from_llama_index(unified_llm().complete("Hello?")),
    "chat": lambda: from_llama_index(unified_llm().chat([ChatMessage("Hello?")])),
    "the end of stream_chat": lambda: from_llama_index([*unified_llm().stream_chat([ChatMessage("Hello?")])][-1]),
    "the end of astream_complete": lambda: from_llama_index(
        asyncio.run(last_of(unified_llm().astream_complete("Hello?")))
    ),
}


def sum_of(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


@each("call, served_by", [(call, served_by) for call in CALLS for served_by in (MODEL, DEMO)])
def test_a_response_says_whether_the_demo_model_served_it(call: str, served_by: str) -> None:
    outcome = say("Hello") if served_by == MODEL else [Failure("server", 503)]
    with ScriptedTargets({MODEL: [outcome] * 3, DEMO: [say("Hello")]}).running():
        assert CALLS[call]() is (served_by == DEMO)
