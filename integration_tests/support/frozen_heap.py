"""A fixture for modules in which full garbage collections run often: each takes a second with all suites loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def freeze_existing_objects() -> Iterator[None]:
    """Exclude from collections, for the time of a module, what exists before it. A conftest imports this."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
