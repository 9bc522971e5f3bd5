from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _freeze_existing_objects() -> Iterator[None]:
    """Freeze existing objects: a collection takes most of a second with many modules loaded, and runs often here."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
