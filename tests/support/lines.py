"""Lines of Python as a measure of cost, and as places where a signal may interrupt."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any, ParamSpec

P = ParamSpec("P")


def in_own_thread(test: Callable[P, None]) -> Callable[P, None]:
    """Decorate a test that raises from a tracer, so that it runs in a thread of its own.

    Where a tracer raises within an ``except`` block, the interpreter can go on taking that exception for the one that
    the thread handles: it would be the context of whatever later tests raise. No handler of a signal does that.
    """

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(test, *args, **kwargs).result()

    return run


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
