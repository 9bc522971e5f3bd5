"""What langchain-tests needs around it."""

from __future__ import annotations

import pytest

from unified_llm.langchain import register


@pytest.fixture(scope="session", autouse=True)
def _known_to_langchain() -> None:
    """Loading a serialised model is refused by LangChain, unless it knows the class."""
    register()
