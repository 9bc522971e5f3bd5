"""The command line in this process: its exit code, and what it wrote."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from unified_llm.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str


class Stream(io.TextIOWrapper):
    """A stream of text in memory, which may say that it is a terminal."""

    def __init__(self, data: bytes = b"", *, terminal: bool = False, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(data), encoding=encoding, newline="\n")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    @property
    def written(self) -> str:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


def run(
    *arguments: str, stdin: bytes | None = b"", typed: bytes = b"", terminal: bool = False, encoding: str = "utf-8"
) -> Ended:
    """Run a command.

    Args:
        *arguments: Those after the program's name.
        stdin: What is on standard input; None for a terminal.
        typed: What is typed at that terminal.
        terminal: Whether standard output and standard error are a terminal.
        encoding: The encoding of both.
    """
    out, err = (Stream(terminal=terminal, encoding=encoding) for _ in range(2))
    before, sys.stdin = sys.stdin, Stream(typed if stdin is None else stdin, terminal=stdin is None)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
    finally:
        sys.stdin = before
    return Ended(code, out.written, err.written)
