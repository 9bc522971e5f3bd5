"""The sync and the async way to embed texts, for tests that run both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from unified_llm import LLMClient
from unified_llm.types import EmbeddingResponse

Embed = Callable[..., EmbeddingResponse]


def embed(client: LLMClient, texts: Any, **options: Any) -> EmbeddingResponse:
    return client.embed(texts, **options)


def aembed(client: LLMClient, texts: Any, **options: Any) -> EmbeddingResponse:
    return asyncio.run(client.aembed(texts, **options))


SYNC_AND_ASYNC = pytest.mark.parametrize("embed", [embed, aembed])
