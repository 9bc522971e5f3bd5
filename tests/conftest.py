"""What holds for every test: nothing learned before, and nothing from the environment of whoever runs it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support import canary
from unified_llm._config.process_defaults import configure
from unified_llm._state.process_health import reset_health

# The same examples at every run: a test that fails now and then is no test. More of them where there is time.
settings.register_profile("steady", deadline=None, derandomize=True, database=None, max_examples=50)
settings.register_profile("thorough", settings.get_profile("steady"), max_examples=100)
settings.load_profile("thorough" if os.environ.get("UNIFIED_LLM_THOROUGH") else "steady")

# Thousands of tests make a large heap, of which almost nothing is ever garbage.
gc.set_threshold(50_000, 50, 50)

canary.clear_environment()


def pytest_configure(config: pytest.Config) -> None:
    """Every test is searched for keys."""
    canary.take_part(config)


@pytest.fixture(autouse=True)
def _knowing_nothing() -> Iterator[None]:
    reset_health()
    yield
    reset_health()
    configure(timeout=None, max_retries=None, retry_delay=None, cache_ttl=None, state=None, telemetry=None)


def pytest_collection_finish() -> None:
    """What is there before the first test is not looked at again in every collection of garbage."""
    gc.collect()
    gc.freeze()
