"""A setting of the user's that a model does not take: one WARNING for each model and setting, on every surface."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage

from tests.support.each import each
from tests.support.langchain_models import Plain
from tests.support.langchain_targets import with_wrapped_models
from tests.support.llama_index_models import Native
from tests.support.scripted_targets import ScriptedTargets
from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient
from unified_llm._core.outcome import Failure
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedLLM

if TYPE_CHECKING:
    import pytest

KEY = "sk-a-key-of-a-test"
MINI, CLAUDE, GPT = "openai/gpt-5-mini", "anthropic/claude-sonnet-4-5", "openai/gpt-4o"

Fields = Mapping[str, Any]


async def _astream(model: str, fields: Fields) -> None:
    async for _ in LLMClient(model, api_key=KEY).astream("Hi", **fields):
        pass


SURFACES: Mapping[str, Callable[[str, Fields], Any]] = {
    "generate": lambda model, fields: LLMClient(model, api_key=KEY).generate("Hi", **fields),
    "constructor": lambda model, fields: LLMClient(model, api_key=KEY, **fields).generate("Hi"),
    "agenerate": lambda model, fields: asyncio.run(LLMClient(model, api_key=KEY).agenerate("Hi", **fields)),
    "stream": lambda model, fields: list(LLMClient(model, api_key=KEY).stream("Hi", **fields)),
    "astream": lambda model, fields: asyncio.run(_astream(model, fields)),
    "langchain": lambda model, fields: ChatUnified(model=model, api_key=KEY, **fields).invoke("Hi"),
    "langchain bind": lambda model, fields: ChatUnified(model=model, api_key=KEY).bind(**fields).invoke("Hi"),
    "langchain stream": lambda model, fields: list(ChatUnified(model=model, api_key=KEY, **fields).stream("Hi")),
    "llama_index": lambda model, fields: UnifiedLLM(model=model, api_key=KEY, **fields).complete("Hi"),
    "llama_index call": lambda model, fields: UnifiedLLM(model=model, api_key=KEY).chat([ChatMessage("Hi")], **fields),
}


def reports(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return level and field of the records on settings that were not sent."""
    return [(record.levelname, vars(record)["field"]) for record in caplog.records if "field" in vars(record)]


@each("surface", SURFACES)
def test_it_is_warned_of_once_and_then_logged_at_debug(caplog: pytest.LogCaptureFixture, surface: str) -> None:
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "unified_llm"), SentRequests().running() as network:
        for _ in range(2):
            SURFACES[surface](MINI, {"temperature": 0.25})
    assert "temperature" not in network.sent[0].body
    assert reports(caplog) == [("WARNING", "temperature"), ("DEBUG", "temperature")]
    assert "0.25" not in caplog.text


@each(
    ("model", "fields", "expected"),
    [
        (MINI, {"temperature": 0, "top_p": 0.5, "max_tokens": 5}, ["temperature", "top_p"]),
        (GPT, {"reasoning_effort": "high"}, ["reasoning_effort"]),
        (CLAUDE, {"seed": 1, "presence_penalty": 1}, ["seed", "presence_penalty"]),
        (CLAUDE, {"temperature": 0.5, "top_p": 0.5}, ["top_p"]),
        (CLAUDE, {"temperature": 0.5, "reasoning_effort": "high", "max_tokens": 9000}, ["temperature"]),
        ("openai/gpt-5.2", {"temperature": 0.5, "reasoning_effort": "low"}, ["temperature"]),
        ("openai/gpt-5.2", {"temperature": 0.5}, []),
        (GPT, {"temperature": 0, "seed": 1}, []),
        ("openai/o3-pro", {"seed": 1}, ["seed"]),
    ],
)
def test_each_setting_of_each_model_is_reported_by_its_name(
    caplog: pytest.LogCaptureFixture, model: str, fields: Fields, expected: list[str]
) -> None:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "unified_llm"), SentRequests().running():
        LLMClient(model, api_key=KEY).generate("Hi", **fields)
    assert sorted(name for _, name in reports(caplog)) == sorted(expected)


def test_a_fallback_is_reported_apart_from_the_primary(caplog: pytest.LogCaptureFixture) -> None:
    chain = ChatUnified(model="openai/gpt-5", api_key=KEY, fallbacks=[{"model": MINI, "api_key": KEY}], max_retries=0)
    with caplog.at_level(logging.WARNING, "unified_llm"), SentRequests("openai/gpt-5").running():
        for _ in range(3):
            chain.invoke("Hi", temperature=0)
    targets = [vars(record)["target"] for record in caplog.records if "field" in vars(record)]
    assert targets == ["openai/gpt-5", MINI]


def test_what_the_package_and_the_frameworks_add_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "unified_llm"), SentRequests().running():
        ChatUnified(model=MINI, api_key=KEY).invoke("Hi")
        list(ChatUnified(model="mistral/m", api_key=KEY).stream("Hi"))
        UnifiedLLM(model=MINI, api_key=KEY).complete("Hi")
        UnifiedEmbeddings(model="mistral/mistral-embed", api_key=KEY).embed_query("Hi")
    assert reports(caplog) == []


def test_a_wrapped_model_is_reported_too(caplog: pytest.LogCaptureFixture) -> None:
    down = {MINI: [Failure("auth", 401)]}
    with caplog.at_level(logging.WARNING, "unified_llm"), with_wrapped_models(ScriptedTargets(down)):
        chat = ChatUnified(model=MINI, api_key=KEY, fallbacks=[Plain()])
        for _ in range(2):
            chat.invoke("Hi", seed=1, temperature=7)  # Plain has no field for the one, and allows 2 of the other
        llm = UnifiedLLM(model=MINI, api_key=KEY, fallbacks=[Native()])
        for _ in range(2):
            llm.complete("Hi", seed=1)
    names = [
        (vars(record)["target"].partition("/")[0], name)
        for record, (_, name) in zip(
            [record for record in caplog.records if "field" in vars(record)], reports(caplog), strict=True
        )
    ]
    assert sorted(names) == sorted(set(names))
    assert {("outside", "seed"), ("outside", "temperature")} < set(names)
    assert any(name == "seed" and provider != "outside" for provider, name in names)
