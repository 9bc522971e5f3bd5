"""The adapters behave like the client: the same targets, attempts and waits, and an error of the same kind.

The scripts are those of ``tests/client/test_four_ways.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

import pytest

from tests.client.test_four_ways import SCRIPTS
from tests.support.each import each
from tests.support.scripted_targets import Attempt as Scripted
from tests.support.scripted_targets import ScriptedTargets
from unified_llm import Attempt, LLMClient, reset_health
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import LLMError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.types import EmbeddingResponse

Story: TypeAlias = tuple[str, list[tuple[str, str, int | None, float]], list[str], list[float]]
QUESTION = "Hello?"
VECTORS = EmbeddingResponse([[0.5, 1.0]])


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC", "GROQ"):
        monkeypatch.setenv(f"{provider}_API_KEY", f"sk-CANARY-{provider}")


async def _read(chunks: Any) -> None:
    async for _ in chunks:
        pass


CHAT: dict[str, Callable[[ChatUnified], Any]] = {
    "invoke": lambda model: model.invoke(QUESTION),
    "ainvoke": lambda model: asyncio.run(model.ainvoke(QUESTION)),
    "stream": lambda model: list(model.stream(QUESTION)),
    "astream": lambda model: asyncio.run(_read(model.astream(QUESTION))),
}
EMBED: dict[str, Callable[[UnifiedEmbeddings], Any]] = {
    "embed_query": lambda model: model.embed_query(QUESTION),
    "aembed_query": lambda model: asyncio.run(model.aembed_query(QUESTION)),
    "embed_documents": lambda model: model.embed_documents([QUESTION]),
    "aembed_documents": lambda model: asyncio.run(model.aembed_documents([QUESTION])),
}


def story(targets: ScriptedTargets, call: Callable[[Callable[[Attempt], None]], Any]) -> Story:
    """Run a call and return what happened: the kind of error, each attempt, the targets in order, and every wait."""
    reset_health()
    attempts: list[Attempt] = []
    error = ""
    with targets.running():
        try:
            call(attempts.append)
        except LLMError as problem:
            error = next(kind.__name__ for kind in type(problem).__mro__ if kind.__module__ == "unified_llm.exceptions")
    assert targets.open == 0
    records = [(attempt.target, attempt.outcome, attempt.status, round(attempt.waited, 6)) for attempt in attempts]
    return error, records, targets.names, [round(seconds, 6) for seconds in targets.slept]


@cache
def story_of_a_client(name: str) -> Story:
    (first, *others), script = SCRIPTS[name]
    return story(
        ScriptedTargets(script), lambda record: LLMClient(first, fallbacks=others, on_attempt=record).generate(QUESTION)
    )


@each("way", CHAT)
@each("name", SCRIPTS)
def test_a_chat_model_of_langchain_tells_what_the_client_tells(name: str, way: str) -> None:
    (first, *others), script = SCRIPTS[name]
    observed = story(
        ScriptedTargets(script), lambda record: CHAT[way](ChatUnified(model=first, fallbacks=others, on_attempt=record))
    )
    assert observed == story_of_a_client(name)


def embedding(attempt: Scripted) -> Scripted:
    """Return the same attempt, with a vector in place of text if it succeeds."""
    if isinstance(attempt, Failure) or any(isinstance(step, Failure) for step in attempt) or not attempt:
        return attempt
    return [Done(VECTORS)]


@each("way", EMBED)
@each("name", [name for name in SCRIPTS if name not in {"silence", "cut short"}])
def test_embeddings_of_langchain_tell_what_the_client_tells(name: str, way: str) -> None:
    (_, *others), script = SCRIPTS[name]
    attempts: Sequence[Sequence[Scripted]] = [
        [embedding(attempt) for attempt in attempts] for attempts in script.values()
    ]
    models = [f"{provider}/e5-large" for provider in ("openai", "together", "fireworks")][: len(attempts)]
    scripts = dict(zip(models, attempts, strict=True))
    fallbacks = [{"model": model, "api_key": "sk-CANARY-e"} for model in models[1:]]
    assert len(others) <= 2
    expected = story(
        ScriptedTargets(scripts),
        lambda record: LLMClient(models[0], fallbacks=fallbacks, on_attempt=record).embed(QUESTION),
    )
    observed = story(
        ScriptedTargets(scripts),
        lambda record: EMBED[way](UnifiedEmbeddings(model=models[0], fallbacks=fallbacks, on_attempt=record)),
    )
    assert observed == expected
