"""Checks of variables: while a call waits, and in the traceback of an exception that interrupts it anywhere.

A leak is a variable whose full ``repr`` has a canary. Error trackers, ``traceback.TracebackException`` with
``capture_locals`` and debuggers show variables in that way.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Generator, Iterator
from traceback import walk_tb
from types import BuiltinFunctionType, CodeType, FrameType, ModuleType
from typing import Any, Final, Self

from tests.support.canary import PACKAGE
from tests.support.causes import error_and_causes

MARK: Final = "CANARY"
# Modules of the functions and objects in which sync code waits: sockets, queues, locks, the clock.
_WAITING_MODULES: Final = frozenset({"_socket", "socket", "_queue", "_thread", "select", "time"})
_WAITING: Final = frozenset({
    "acquire", "connect", "get", "getaddrinfo", "poll", "recv", "recv_into", "select", "send", "sendall", "sleep",
})  # fmt: skip
# Where an argument has just come in, and is hidden by the next line.
_ENTERING: Final = ("given = Hidden(", "del ", "self.value = value")

# What clears variables: a second interruption, while it runs, leaves the others as they are.
_CLEARING: Final = "/_core/hidden.py"


class Interrupted(BaseException):
    """Raised by the handler of a signal, as far as the interrupted code can tell."""


def is_own(code: CodeType) -> bool:
    """Return whether code is the package's own."""
    return code.co_filename.startswith(PACKAGE)


def is_ours_or_library(code: CodeType) -> bool:
    """Return whether code is the package's own, or of a library that it calls; not that of a test."""
    return "/tests/" not in code.co_filename and "/integration_tests/" not in code.co_filename


def frame_leaks(frame: FrameType) -> list[str]:
    """Return the variables of a frame that show a canary."""
    code = frame.f_code
    found = [name for name, value in dict(frame.f_locals).items() if MARK in _shown(value)]
    return [
        f"{name} in {code.co_filename.rpartition('site-packages/')[2]}:{frame.f_lineno} {code.co_name}"
        for name in found
    ]


def traceback_leaks(error: BaseException, included: Callable[[CodeType], bool] = is_own) -> list[str]:
    """Return the variables that show a canary in the tracebacks of an exception, its causes and its contexts."""
    frames = [frame for raised in error_and_causes(error) for frame, _ in walk_tb(raised.__traceback__)]
    return [leak for frame in frames if included(frame.f_code) for leak in frame_leaks(frame)]


class WaitChecker:
    """Checks the variables of all frames where sync code waits, and interrupts it there.

    Args:
        interrupt_at: The number of the wait, from 0; None to check all and interrupt none.
        included: Which code's frames are checked.
    """

    def __init__(self, interrupt_at: int | None = None, included: Callable[[CodeType], bool] = is_own) -> None:
        self.interrupt_at, self.included = interrupt_at, included
        self.waits = 0
        self.leaks: list[str] = []

    def __enter__(self) -> Self:
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _on_event(self, frame: FrameType, event: str, function: Any) -> None:
        if event != "c_call" or not _waits(function):
            return
        if self.interrupt_at in {None, self.waits}:
            for each in _stack(frame):
                if self.included(each.f_code):
                    self.leaks += frame_leaks(each)
        self.waits += 1
        if self.waits - 1 == self.interrupt_at:
            raise Interrupted


def _waits(function: Any) -> bool:
    if not isinstance(function, BuiltinFunctionType) or function.__name__ not in _WAITING:
        return False
    owner = function.__self__
    return (owner.__name__ if isinstance(owner, ModuleType) else type(owner).__module__) in _WAITING_MODULES


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames below the test."""
    while frame is not None and is_ours_or_library(frame.f_code):
        yield frame
        frame = frame.f_back


class LineInterrupter:
    """Interrupts sync code of the package at one of its lines, or collects the lines that are run.

    Args:
        line: File and number of the line; None to collect.
    """

    def __init__(self, line: tuple[str, int] | None = None) -> None:
        self.line = line
        self.lines: dict[tuple[str, int], None] = {}

    def __enter__(self) -> Self:
        sys.settrace(self._on_call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _on_call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._on_line if is_own(frame.f_code) else None

    def _on_line(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            line = (frame.f_code.co_filename, frame.f_lineno)
            if self.line is None:
                if not frame.f_code.co_filename.endswith(_CLEARING) and not _enters(line):
                    self.lines[line] = None
            elif line == self.line:
                sys.settrace(None)
                raise Interrupted
        return self._on_line


def _enters(line: tuple[str, int]) -> bool:
    return linecache.getline(*line).lstrip().startswith(_ENTERING)


class Stepped:
    """Awaits a coroutine, checks the variables of its frames where it is suspended, and interrupts it there.

    Args:
        coroutine: The coroutine.
        cancel_at: The number of the suspension, from 0; None to check all and interrupt none.
        error: That exception.
        included: Which code's frames are checked.
    """

    def __init__(
        self,
        coroutine: Any,
        cancel_at: int | None = None,
        error: type[BaseException] = Interrupted,
        included: Callable[[CodeType], bool] = is_own,
    ) -> None:
        self.coroutine, self.cancel_at, self.error, self.included = coroutine, cancel_at, error, included
        self.suspensions = 0
        self.leaks: list[str] = []

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.coroutine.__await__()
        send, argument = steps.send, None
        while True:
            try:
                future = send(argument)
            except StopIteration as end:
                return end.value
            if self.cancel_at in {None, self.suspensions}:
                for frame in _awaiting(self.coroutine):
                    if self.included(frame.f_code):
                        self.leaks += frame_leaks(frame)
            self.suspensions += 1
            if self.suspensions - 1 == self.cancel_at:
                if future is not None:
                    future.cancel()
                send, argument = steps.throw, self.error()
                continue
            try:
                send, argument = steps.send, (yield future)
            except BaseException as error:  # noqa: BLE001 - passed on to the coroutine
                send, argument = steps.throw, error


def _awaiting(awaitable: Any) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine, and of what it awaits, outermost first."""
    while awaitable is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(awaitable, f"{prefix}_frame", None)
            if frame is not None:
                yield frame
            if hasattr(awaitable, f"{prefix}_frame"):
                awaitable = getattr(awaitable, f"{prefix}_await", None) or getattr(
                    awaitable, f"{prefix}_yieldfrom", None
                )
                break
        else:
            return


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a variable of a call that failed may be incomplete
        return ""
