"""Standard output and standard error: what is written, and how it looks on a terminal.

Standard output has the response and nothing else, so that it can be piped; notes and errors are lines of standard
error.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from unified_llm._core import defaults
from unified_llm.cli._option_names import name_options

if TYPE_CHECKING:
    from rich.console import Console

PROGRAM: Final = "unified-llm"
# Control characters, which a response must not send to a terminal: they could clear it, move the cursor, set its title
# or write to the clipboard. Line ends and tabs stay. The first 32 are shown as their Unicode symbols.
_SYMBOLS: Final = {
    **{code: 0x2400 + code for code in range(0x20)},
    **dict.fromkeys(range(0x7F, 0xA0), 0xFFFD),
    0x2028: "\n",
    0x2029: "\n",
    ord("\r"): None,
}
_IN_TEXT: Final = {code: symbol for code, symbol in _SYMBOLS.items() if chr(code) not in "\n\t"}
_DIM: Final = "\x1b[2m"
_RED: Final = "\x1b[31m"
# Styles of cells in tables, by what is in them.
_CELLS: Final = {"up": "green", "down": "red"}
_PLAIN: Final = "\x1b[0m"
_NARROW: Final = 14  # columns; names of providers are shorter
_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)


def clean(text: str) -> str:
    """Replace control characters other than line ends and tabs."""
    return text.translate(_IN_TEXT)


def clean_line(text: str) -> str:
    """Return a text as one line without control characters."""
    return " ".join(text.split()).translate(_IN_TEXT)


class Terminal:
    """The streams of this process.

    Args:
        verbosity: How often ``--verbose`` was given.
    """

    def __init__(self, verbosity: int = 0) -> None:
        self.verbosity = verbosity
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:  # what the encoding lacks is replaced rather than refused
                reconfigure(errors="replace")
        self.is_interactive = _is_terminal(sys.stdout)
        self._is_inside_line = False

    # Standard output

    def write(self, text: str) -> None:
        """Write a part of a response to standard output, at once."""
        if text:
            self._is_inside_line = not text.endswith("\n")
            self._write_raw(clean(text) if self.is_interactive else text)

    def end_line(self) -> None:
        """End the line of standard output, if one is begun."""
        if self._is_inside_line:
            self.write("\n")

    def show_table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table to standard output, with its wide cells folded where the terminal is narrower.

        Args:
            columns: The headings; empty for none. A column in which nothing stands is left out.
            rows: The texts of each row, at least one.
        """
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=bool(columns))
        texts = [*zip(*([clean_line(cell) for cell in row] for row in rows), strict=True)]
        for index, cells in enumerate(texts):
            if any(cells):
                is_narrow = max(map(len, cells)) <= _NARROW
                table.add_column(columns[index] if columns else "", overflow="fold", no_wrap=is_narrow)
        for row in zip(*filter(any, texts), strict=True):
            table.add_row(*(Text(cell, style=_CELLS.get(cell, "")) for cell in row))
        console = make_console()
        with console.capture() as captured:
            console.print(table)
        self._write_raw("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))

    def clear(self) -> None:
        """Begin at the top of an empty screen, on a terminal."""
        if self.is_interactive and os.environ.get("TERM") != "dumb":
            self._write_raw("\x1b[H\x1b[2J")

    def _write_raw(self, text: str) -> None:
        if sys.stdout is not None:
            sys.stdout.write(text)
            sys.stdout.flush()

    # Standard error

    def note(self, text: str) -> None:
        """Write a line about the call to standard error."""
        self._write_line(f"{PROGRAM}: {text}", _DIM)

    def error(self, text: str) -> None:
        """Write the line that says what went wrong to standard error."""
        self._write_line(f"{PROGRAM}: error: {text}", _RED)

    def _write_line(self, text: str, style: str) -> None:
        if _share_a_place(sys.stdout, sys.stderr):
            self.end_line()
        if sys.stderr is None:
            return
        line = clean_line(text)
        sys.stderr.write(f"{style}{line}{_PLAIN}\n" if is_styled(sys.stderr) else f"{line}\n")
        sys.stderr.flush()

    @contextmanager
    def shows_log(self) -> Generator[None]:
        """Write the log of the package to standard error: warnings, with ``-v`` what happens, with ``-vv`` all.

        With ``-v``, errors have the provider's own message as well, which may quote the prompt.
        """
        logger, handler = logging.getLogger("unified_llm"), _LogHandler(self)
        before, level = logger.level, _LEVELS[min(self.verbosity, 2)]
        details = defaults.configured("error_details")
        logger.addHandler(handler)
        logger.setLevel(level)
        if self.verbosity:
            defaults.store("error_details", True)  # noqa: FBT003 - any value
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)
            defaults.store("error_details", details)


class _LogHandler(logging.Handler):
    """Writes log records as notes."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless a note about the response says the same: failovers, and answers that were cut."""
        if self._terminal.verbosity or not hasattr(record, "suppressed"):
            level = "warning: " if record.levelno >= logging.WARNING else ""
            self._terminal.note(f"{level}{name_options(record.getMessage())}")


def make_console(width: int | None = None) -> Console:
    """Return a console of rich for standard output, with styles only where they are wanted.

    Args:
        width: Columns; None for those of the terminal, and no limit where there is none.
    """
    from rich.console import Console

    styled = is_styled(sys.stdout)
    if width is None and not _is_terminal(sys.stdout) and "COLUMNS" not in os.environ:
        width = 1000
    return Console(
        force_terminal=styled,
        no_color=not styled,
        color_system="auto" if styled else None,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
    )


def is_styled(stream: IO[str] | None) -> bool:
    """Check whether styles are wanted: on a terminal, unless ``NO_COLOR`` is set; anywhere with ``FORCE_COLOR``."""
    if os.environ.get("NO_COLOR"):
        return False
    if forced := os.environ.get("FORCE_COLOR"):
        return forced != "0"
    return _is_terminal(stream) and os.environ.get("TERM") != "dumb"


def _share_a_place(first: IO[str] | None, second: IO[str] | None) -> bool:
    """Check whether two streams are seen together: on a terminal, or in one file or pipe (``2>&1``)."""
    if _is_terminal(first) and _is_terminal(second):
        return True
    try:
        return first is not None and second is not None and os.path.sameopenfile(first.fileno(), second.fileno())
    except (OSError, ValueError):  # one is closed, or is in memory
        return False


def _is_terminal(stream: IO[str] | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False
