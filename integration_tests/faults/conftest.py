from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _what_was_there_before_is_no_garbage() -> Iterator[None]:
    """Collecting takes most of a second where many modules have been imported, and here it is done very often."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
