"""Fixtures for langchain-tests."""

from __future__ import annotations

import pytest

from unified_llm.langchain import register


@pytest.fixture(scope="session", autouse=True)
def _known_to_langchain() -> None:
    """Register our classes: LangChain refuses to load a serialised model of a class that is not registered."""
    register()
