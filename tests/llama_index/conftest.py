"""Fixtures of the LlamaIndex adapters' tests."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator

import pytest

from tests.support.langchain_targets import KEY


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC", "GROQ"):
        monkeypatch.setenv(f"{provider}_API_KEY", KEY)


@pytest.fixture(autouse=True)
def _loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Provide a loop for coroutines that LlamaIndex runs in sync code: it would create one and never close it."""
    if inspect.iscoroutinefunction(getattr(request.node, "function", None)):
        yield
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
