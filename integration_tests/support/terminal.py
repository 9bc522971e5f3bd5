"""A program in a pseudo-terminal: what it shows, and keys that are pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Final, Self

from integration_tests.support.waiting import PATIENCE

CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"


class Terminal:
    """A program that runs in a terminal; use as a context manager.

    Args:
        command: The program and its arguments.
        environment: Its variables.
        columns: The width of the terminal.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], columns: int = 80) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment), start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads write here
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def press(self, keys: str) -> None:
        """Type these keys."""
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str, seconds: float = PATIENCE) -> str:
        """Wait until the terminal shows a text after what was waited for before; return what came up to it."""
        start, until = len(self.shown), time.monotonic() + seconds
        while text not in self.shown[start:]:
            assert self._read(until), f"{text!r} is not shown, but {self.shown[start:]!r}"
        end = self.shown.index(text, start) + len(text)
        came, self._later = self.shown[start:end], self.shown[end:]
        return came

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for the end of the program; return its exit code."""
        while self._read(time.monotonic() + seconds):
            pass
        return self._process.wait(seconds)

    def _read(self, until: float) -> bool:
        readable, _, _ = select.select([self._ours], [], [], max(0.0, until - time.monotonic()))
        try:
            data = os.read(self._ours, 65536) if readable else b""
        except OSError:  # the program has ended
            return False
        self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


HAS_TERMINALS: Final = sys.platform != "win32"
