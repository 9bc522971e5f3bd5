"""What holds for every test: nothing learned before, and nothing from the environment of whoever runs it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.canary import no_key_in_any_log
from unified_llm.providers.table import ROWS
from unified_llm.registry import reset_health
from unified_llm.settings import configure

__all__ = ["no_key_in_any_log"]  # a fixture is found by being imported here

# The same examples at every run: a test that fails now and then is no test.
settings.register_profile("steady", deadline=None, derandomize=True, database=None)
settings.load_profile("steady")

# Thousands of tests make a large heap, of which almost nothing is ever garbage.
gc.set_threshold(50_000, 50, 50)

# Nothing comes from the environment of whoever runs the tests; a test that sets a variable takes it back.
_VARIABLES = {name for row in ROWS for name in (*row.key_env, *row.base_url_env)} | {"MLX_MODEL_PATH"}
for _name in [each for each in os.environ if each in _VARIABLES or each.startswith("UNIFIED_LLM_")]:
    del os.environ[_name]


@pytest.fixture(autouse=True)
def _knowing_nothing() -> Iterator[None]:
    reset_health()
    yield
    reset_health()
    configure(timeout=None, max_retries=None, retry_delay=None, cache_ttl=None, state=None, telemetry=None)
