"""Interrupts a function at one line after another of this package, as the handler of a signal can.

Where a ``with`` block ends, the interpreter runs no handler before it has released what the block held, but calls the
tracer: an exception there would keep a lock, as no signal can. So these events are left out.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final

import unified_llm

_ROOT: Final = unified_llm.__path__[0]


class Interrupted(BaseException):
    """Raised in the middle of a line's execution: no Exception, like KeyboardInterrupt."""


@cache
def _with_lines(file: str) -> frozenset[int]:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return frozenset(node.lineno for node in ast.walk(tree) if isinstance(node, (ast.With, ast.AsyncWith)))


class LineTracer:
    """Counts the lines of this package that run in this thread, and raises at one of them.

    Args:
        folders: Only lines of these folders count, such as ``_backends/http``.
        at: The line to raise at, counted from 0; None to count alone.
    """

    def __init__(self, folders: tuple[str, ...], at: int | None = None) -> None:
        self._roots = tuple(f"{_ROOT}/{folder}" for folder in folders)
        self._at = at
        self.count = 0
        self.where: str | None = None
        self._open_blocks = set[tuple[int, int]]()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Trace the block."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(self._roots) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line" and not self._ends_block(frame):
            position, self.count = self.count, self.count + 1
            if position == self._at:
                self.where = f"{frame.f_code.co_filename.removeprefix(_ROOT)}:{frame.f_lineno}"
                sys.settrace(None)
                raise Interrupted
        return self._line

    def _ends_block(self, frame: FrameType) -> bool:
        """Return whether this is the second event of the line of a ``with`` statement: the end of its block."""
        if frame.f_lineno not in _with_lines(frame.f_code.co_filename):
            return False
        block = (id(frame), frame.f_lineno)
        if block in self._open_blocks:
            self._open_blocks.remove(block)
            return True
        self._open_blocks.add(block)
        return False


def count_lines(function: Callable[[], object], folders: tuple[str, ...]) -> int:
    """Return how many lines of these folders a function runs."""
    tracer = LineTracer(folders)
    with tracer.running():
        function()
    return tracer.count


def interrupt(function: Callable[[], object], folders: tuple[str, ...], at: int) -> str | None:
    """Run a function, interrupted at a line; return where that was, or None if it ended before."""
    tracer = LineTracer(folders, at)
    try:
        with tracer.running():
            function()
    except Interrupted:
        pass
    return tracer.where
