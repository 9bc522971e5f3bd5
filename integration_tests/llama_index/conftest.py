"""Fixtures: an index of this project's documentation, made with a real embedding model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration_tests.support import minilm
from tests.llama_index.conftest import _loop

if TYPE_CHECKING:
    from llama_index.core import VectorStoreIndex

__all__ = ["_loop"]  # pytest finds a fixture that is imported here

ROOT = Path(__file__).parents[2]

sys.path.append(str(ROOT / "examples"))  # so that examples can import each other

import rag_pipeline  # noqa: E402


@pytest.fixture(scope="session")
def index() -> VectorStoreIndex:
    """Index two pages; this takes half a minute on a slow processor."""
    passages = rag_pipeline.read_pages(ROOT / "docs", ("failover", "observability"), chunk_size=96)
    return rag_pipeline.build_index(passages, f"mlx/{minilm.folder()}")
