"""Shows how far a run is: a bar of rich or tqdm, lines, or a function of the caller."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, Final

from unified_llm._core import runtime
from unified_llm.exceptions import ValidationError
from unified_llm.types.map_results import MapTotals

_log = logging.getLogger("unified_llm")

# Seconds between two updates: of a bar, and of lines in a file or a log.
_BAR: Final = 0.1
_LINE: Final = 10.0


class Progress:
    """Shows nothing; base of what shows something. ``end`` is called once, if ``start`` was.

    Attributes:
        every: Seconds between two updates.
    """

    every = float("inf")
    _due = 0.0

    def start(self) -> None:
        """Begin to show something."""

    def update(self, totals: Callable[[], MapTotals]) -> None:
        """Show the totals, if it is time to."""
        if self.every < float("inf") and (now := runtime.current().now()) >= self._due:
            self._due = now + self.every
            self.show(totals())

    def show(self, totals: MapTotals) -> None:
        """Show the totals."""

    def end(self, totals: MapTotals) -> None:
        """Show the last totals, and end."""
        self.show(totals)


class _Callback(Progress):
    """Calls a function with the totals, whenever prompts are finished; what it raises must not end a run."""

    every = 0.0

    def __init__(self, function: Callable[[MapTotals], object]) -> None:
        self._function, self._is_silent = function, False

    def show(self, totals: MapTotals) -> None:
        try:
            self._function(totals)
        except Exception as error:  # noqa: BLE001 - see above
            if not self._is_silent:
                self._is_silent = True
                _log.warning("The progress function of map() raised %s; the run goes on", type(error).__name__)


class _RichBar(Progress):
    """A bar of rich, on stderr or in a notebook."""

    every = _BAR

    def __init__(self, total: int | None) -> None:
        self._total = total

    def start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
        self._task = self._bar.add_task("", total=self._total)
        self._bar.start()

    def show(self, totals: MapTotals) -> None:
        self._bar.update(self._task, completed=totals.done, description=_failures(totals), refresh=True)

    def end(self, totals: MapTotals) -> None:
        self.show(totals)
        self._bar.stop()


class _TqdmBar(Progress):
    """A bar of tqdm, on stderr or in a notebook."""

    every = _BAR

    def __init__(self, total: int | None) -> None:
        self._total = total

    def start(self) -> None:
        tqdm: Any = import_module("tqdm.auto").tqdm  # which has no types
        self._bar = tqdm(total=self._total, unit=" prompts")

    def show(self, totals: MapTotals) -> None:
        self._bar.set_postfix_str(_failures(totals), refresh=False)
        self._bar.update(totals.done - self._bar.n)

    def end(self, totals: MapTotals) -> None:
        self.show(totals)
        self._bar.close()


class _Lines(Progress):
    """Writes a line to stderr now and then, for a file or a log."""

    every = _LINE

    def __init__(self, total: int | None) -> None:
        self._of = "" if total is None else f" of {total}"

    def show(self, totals: MapTotals) -> None:
        failures = _failures(totals)
        if sys.stderr is not None:
            sys.stderr.write(f"{totals.done}{self._of} prompts{failures and ', '}{failures}\n")


def make_progress(progress: Any, total: int | None) -> Progress:
    """Return what shows the progress of a run.

    Args:
        progress: None: a bar, where stderr is a terminal and rich or tqdm is installed. True: a bar; without a terminal
            or a notebook, a line every 10 seconds. False: nothing. Or a function that takes ``MapTotals``.
        total: The number of prompts, if it is known.

    Raises:
        ValidationError: ``progress`` is something else.
    """
    if isinstance(progress, bool) or progress is None:
        return _shown(total, always=progress is True) if progress is not False else Progress()
    functions = (progress, getattr(progress, "__call__", None))  # noqa: B004 - also of an object whose __call__ is async
    if not callable(progress) or any(iscoroutinefunction(one) or isasyncgenfunction(one) for one in functions):
        raise ValidationError("progress is True, False, None, or a plain function that takes MapTotals.")
    return _Callback(progress)


def _shown(total: int | None, *, always: bool) -> Progress:
    in_notebook = always and "ipykernel" in sys.modules
    if not in_notebook and not (sys.stderr is not None and sys.stderr.isatty()):
        return _Lines(total) if always else Progress()
    rich = _RichBar if find_spec("rich") is not None else None
    tqdm = _TqdmBar if find_spec("tqdm") is not None else None
    # In a notebook tqdm draws a bar of its own, rich one only with ipywidgets.
    bar = (tqdm or rich) if in_notebook else (rich or tqdm)
    if bar is not None:
        return bar(total)
    return _Lines(total) if always else Progress()


def _failures(totals: MapTotals) -> str:
    failed = totals.done - totals.served
    return f"{failed} failed" if failed else ""
