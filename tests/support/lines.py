"""Lines of Python as a measure of cost, and as places where a signal may interrupt."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def traced(on_line: Callable[[FrameType], None]) -> Iterator[None]:
    """Call a function before each line of Python that runs in this thread."""

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            on_line(frame)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def count_lines(work: Callable[[], object]) -> int:
    """Return how many lines of Python run."""
    lines = 0

    def count(_frame: FrameType) -> None:
        nonlocal lines
        lines += 1

    with traced(count):
        work()
    return lines
