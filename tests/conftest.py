"""Fixtures of every test: a fresh health registry, default settings, and nothing from the machine's environment."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import settings

from tests.support import canary
from tests.support.process_state import reset_process_state
from tests.support.thorough import THOROUGH
from unified_llm._state import model_list_cache
from unified_llm._state.process_health import reset_health

# The same examples in every run, so that no test fails now and then. More of them where there is time.
settings.register_profile("steady", deadline=None, derandomize=True, database=None, max_examples=25)
settings.register_profile("thorough", settings.get_profile("steady"), max_examples=100)
settings.load_profile("thorough" if THOROUGH else "steady")

# Thousands of tests make a large heap, and almost nothing of it is ever garbage: nothing of what is imported.
gc.set_threshold(50_000, 50, 50)
gc.disable()

canary.clear_environment()

# A request that ends at once may take a second on a busy machine, and is then no slow one.
pytest.MonkeyPatch().setattr(model_list_cache, "PATIENCE", 30.0)


def pytest_configure(config: pytest.Config) -> None:
    """Search every test for keys that it shows."""
    canary.register_plugin(config)


class FullCollections:
    """Makes a full garbage collection, which many tests call for, look only at what is newer than the one before."""

    def __init__(self) -> None:
        self._was_one = False

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        self._was_one = self._was_one or (phase == "stop" and info["generation"] == 2)

    def exclude_survivors(self) -> None:
        """Exclude from every later collection what survived a full one; call it between tests."""
        if self._was_one:
            gc.collect(1)  # garbage since then must not be kept
            gc.freeze()
            self._was_one = False


FULL_COLLECTIONS: Final = FullCollections()
gc.callbacks.append(FULL_COLLECTIONS)


@pytest.fixture(autouse=True)
def _fresh_process_state() -> Iterator[None]:
    FULL_COLLECTIONS.exclude_survivors()
    reset_health()
    yield
    reset_process_state()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked ``thorough`` to thorough runs, unless a file or a test is named."""
    if THOROUGH or any(".py" in argument for argument in config.args):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Exclude what exists before the first test from every garbage collection."""
    gc.freeze()
    gc.enable()
