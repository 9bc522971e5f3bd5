"""The four ways to call a client, as functions of the same signature, for parametrized tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from unified_llm import LLMClient
from unified_llm.types import LLMChunk


def generate(client: LLMClient, prompt: Any, **overrides: Any) -> Any:
    return client.generate(prompt, **overrides)


def agenerate(client: LLMClient, prompt: Any, **overrides: Any) -> Any:
    return asyncio.run(client.agenerate(prompt, **overrides))


def stream(client: LLMClient, prompt: Any, **overrides: Any) -> Sequence[LLMChunk]:
    return list(client.stream(prompt, **overrides))


def astream(client: LLMClient, prompt: Any, **overrides: Any) -> Sequence[LLMChunk]:
    async def collect() -> list[LLMChunk]:
        return [chunk async for chunk in client.astream(prompt, **overrides)]

    return asyncio.run(collect())


WHOLE = pytest.mark.parametrize("ask", [generate, agenerate])
CHUNKS = pytest.mark.parametrize("ask", [stream, astream])
EVERY_WAY = pytest.mark.parametrize("ask", [generate, agenerate, stream, astream])
