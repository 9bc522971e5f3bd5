"""Warnings that each call or each new client would repeat are logged once, or once a minute with a count."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU
from tests.support.scripted_targets import Pause, ScriptedTargets, say
from unified_llm import LLMClient, reset_health
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import Attempt

if TYPE_CHECKING:
    import pytest

LOCAL = "http://127.0.0.1:9/v1"
Arguments = dict[str, Any]

# What is wrong with a client, and the beginning of the warning.
MISTAKES: dict[str, tuple[str, Arguments]] = {
    "mlx/demo is a demo model": (GPT, {"fallbacks": ["mlx/demo"]}),
    "ollama/x: in the chain more than once": ("ollama/x", {"fallbacks": ["ollama/x"]}),
    "A target is skipped: groq/x": (GPT, {"fallbacks": ["groq/x"], "skip_unconfigured": True}),
    f"{GPT}: no API key is sent to 127.0.0.1:9": (GPT, {"base_url": LOCAL}),
    f"{GPT}: max_retries=11 lets each call send up to 12 requests": (GPT, {"max_retries": 11}),
}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@each("beginning", MISTAKES)
def test_a_client_for_each_request_warns_as_often_as_one_client(
    beginning: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    caplog.clear()
    model, arguments = MISTAKES[beginning]
    for _ in range(5):
        LLMClient(model, **arguments)
        chat = ChatUnified(model=model, **arguments)
        chat.model_copy(update={"temperature": 0.5}).bind(stop=["x"])
        UnifiedLLM(model=model, **arguments)
    (warning,) = warnings_of(caplog)
    assert warning.startswith(beginning)
    reset_health()
    LLMClient(model, **arguments)
    assert len(warnings_of(caplog)) == 2


def test_another_chain_with_the_demo_model_is_warned_of_again(caplog: pytest.LogCaptureFixture) -> None:
    LLMClient(GPT, fallbacks=["mlx/demo"])
    LLMClient(HAIKU, fallbacks=["mlx/demo"])
    assert len(warnings_of(caplog)) == 2


def test_ten_retries_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    LLMClient(GPT, max_retries=10)
    assert warnings_of(caplog) == []


def fail(attempt: Attempt) -> None:
    raise RuntimeError(attempt.target)


async def report(attempt: Attempt) -> None:
    raise AssertionError(attempt)


def start(attempt: Attempt) -> Any:
    return report(attempt)


@each(
    "callback, event",
    [(fail, "raised RuntimeError; the call goes on"), (start, "returned a coroutine")],
)
def test_a_mistake_in_on_attempt_is_warned_of_once_a_minute_with_a_count(
    callback: Callable[[Attempt], None], event: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    answers = [*[say("Hello")] * 5, [Pause(60.0), *say("Hello")]]
    with ScriptedTargets({GPT: answers}).running():
        client = LLMClient(GPT, on_attempt=callback)
        for _ in answers:
            client.generate("Hello?", timeout=100.0)
    first, second = warnings_of(caplog)
    assert first.startswith(f"on_attempt {event}")
    assert second.endswith(" (4 more since the last warning)")
