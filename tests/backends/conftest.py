from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.set_clock import Clock
from unified_llm._core import runtime


@pytest.fixture
def clock() -> Iterator[Clock]:
    """Use a clock that the test sets for the whole process."""
    clock = Clock()
    with runtime.use(runtime.Runtime(now=clock)):
        yield clock
