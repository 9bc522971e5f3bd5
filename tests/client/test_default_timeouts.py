"""How long a target that hangs is waited for by default, in all four ways to call and for embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from tests.support.scripted_targets import Pause, ScriptedTargets, say
from unified_llm import LLMClient
from unified_llm.exceptions import AllTargetsFailedError
from unified_llm.types import Attempt

KEY = "sk-test-0123456789"
MINI, PRO, LLAMA = "openai/gpt-5-mini", "openai/gpt-5-pro", "ollama/llama3.2"
EMBEDDER = "text-embedding-3-small"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.setenv(name, KEY)


@pytest.mark.parametrize("way", WAYS)
@each(
    ("model", "fallbacks", "overrides", "limits"),
    [
        (GPT, [HAIKU], {}, (20, 60)),
        (GPT, [], {"deadline": 90}, (30, 90)),
        (MINI, [HAIKU], {}, (60, 180)),
        (MINI, [], {}, (180, 600)),
        (MINI, [GPT], {"reasoning_effort": "high"}, (300, 540)),
        (MINI, [HAIKU], {"reasoning_effort": "high"}, (300, 300)),  # which thinks hard too: half of the deadline each
        (MINI, [HAIKU], {"reasoning_effort": "high", "timeout": 20}, (20, 20)),
        (PRO, [HAIKU], {}, (300, 540)),
        (LLAMA, [HAIKU], {}, (300, 300)),
        (LLAMA, [GPT, HAIKU], {}, (300, 300)),
        (LLAMA, [], {}, (300, 600)),
    ],
)
def test_a_target_that_hangs_is_given_up_in_time(
    way: Way, *, model: str, fallbacks: list[str], overrides: Mapping[str, Any], limits: tuple[float, float]
) -> None:
    seen: list[Attempt] = []
    client = LLMClient(model, fallbacks=fallbacks, max_retries=0, on_attempt=seen.append)
    with ScriptedTargets({model: [[Pause()]], **{name: [say("Hello")] for name in fallbacks}}).running():
        outcome_of(way, client, **overrides)
    assert (seen[0].target, seen[0].outcome) == (model, "timeout")
    assert seen[0].seconds == pytest.approx(limits["stream" not in way])


@each("way", WAYS)
def test_a_local_model_that_has_just_responded_is_given_up_sooner(way: Way) -> None:
    seen: list[Attempt] = []
    client = LLMClient(LLAMA, fallbacks=[HAIKU], max_retries=0, on_attempt=seen.append)
    with ScriptedTargets({LLAMA: [say("Hello"), [Pause()]], HAIKU: [say("Hello")]}).running():
        for _ in range(2):
            assert outcome_of(way, client).content == "Hello"
    assert seen[1].seconds == pytest.approx(60 if "stream" in way else 180)


@each("asynchronous", [False, True])
def test_vectors_are_a_whole_response(*, asynchronous: bool) -> None:
    client = LLMClient(f"openai/{EMBEDDER}", fallbacks=[f"mistral/{EMBEDDER}"], api_key=KEY, max_retries=0)
    with (
        ScriptedTargets({f"openai/{EMBEDDER}": [[Pause()]], f"mistral/{EMBEDDER}": [[Pause()]]}).running(),
        pytest.raises(AllTargetsFailedError) as caught,
    ):
        asyncio.run(client.aembed("Hi")) if asynchronous else client.embed("Hi")
    assert [attempt.seconds for attempt in caught.value.attempts] == pytest.approx([60, 540])
