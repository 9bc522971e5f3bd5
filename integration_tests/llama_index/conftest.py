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

ASKED_ABOUT = ("failures in a row", "on_stream_break", "## Simulate an outage", "## In the log")


@pytest.fixture(scope="session")
def index() -> VectorStoreIndex:
    """Index a part of two pages; a passage takes a fifth of a second on a slow processor."""
    passages = rag_pipeline.read_pages(ROOT / "docs", ("failover", "observability"), chunk_size=96)
    # Every fifth, and those that the questions of the tests are about.
    passages = [
        passage
        for number, passage in enumerate(passages)
        if number % 5 == 0 or any(words in passage.get_content() for words in ASKED_ABOUT)
    ]
    return rag_pipeline.build_index(passages, f"mlx/{minilm.folder()}")
