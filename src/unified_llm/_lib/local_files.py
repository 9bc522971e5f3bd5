"""Files that a caller named: their paths, and regular files read up to a size, looked at before they are read whole."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

LARGEST_FILE: Final = 64 << 20  # bytes; no provider takes more in a request
_START: Final = 64
# A pipe that replaces the file between the look at it and its opening must not block.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home directory in place of ``~``; as it is where there is no such user or directory."""
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that a later change of the working directory does not change; as it is where that is deleted."""
    path = expand_home(path)
    try:
        return path.absolute()
    except OSError:
        return path


def home_folder() -> Path | None:
    """Return the user's home directory; None where there is none, as in a container with a user of no name."""
    home = expand_home("~")
    return home if home.is_absolute() else None


def read_file(path: str | os.PathLike[str], check_start: Callable[[bytes], object] = len) -> bytes:
    """Return the bytes of a regular file.

    A device or a pipe is not opened: it may have no end, and opening it may do something.

    Args:
        path: The file.
        check_start: Called with its first bytes before the rest is read; what it raises is raised.

    Raises:
        OSError: It cannot be read, is no regular file, is empty, or is larger than ``LARGEST_FILE``. The path is not in
            ``strerror``.
        TypeError: The argument is no path.
    """
    path = Path(path)
    check_file(path)
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        _check(os.fstat(file.fileno()))
        start = file.read(_START)
        check_start(start)
        return start + read_rest(file, LARGEST_FILE - len(start))


def read_rest(file: BinaryIO, limit: int = LARGEST_FILE) -> bytes:
    """Return what is left in an open file.

    Raises:
        OSError: It is more than ``limit`` bytes, whatever size it claims to have.
    """
    data = file.read(limit + 1)
    if len(data) > limit:
        raise _too_large()
    return data


def read_open_file(file: Any) -> bytes:
    """Return all that an open file holds, from its beginning, and restore its position: it is the caller's.

    What cannot be repositioned is read from where it is.

    Raises:
        OSError: It holds nothing, or more than ``LARGEST_FILE``.
        TypeError: What it returns is no bytes: it is open in text mode, or its ``read`` is asynchronous.
        ValueError: It is closed.
    """
    seekable = getattr(file, "seekable", None)
    if not (callable(seekable) and seekable()):
        return _read_all(file)
    position = file.tell()
    file.seek(0)
    try:
        return _read_all(file)
    finally:
        file.seek(position)


def _read_all(file: Any) -> bytes:
    """Read to the end: one call of an unbuffered file returns what is there."""
    data = bytearray()
    while chunk := file.read(LARGEST_FILE + 1 - len(data)):
        if not isinstance(chunk, bytes):
            if close := getattr(chunk, "close", None):  # a coroutine
                close()
            raise TypeError("it is not open in binary mode")
        data += chunk
        if len(data) > LARGEST_FILE:
            raise _too_large()
    if not data:
        raise OSError(errno.EINVAL, "it is empty")
    return bytes(data)


def check_file(path: str | os.PathLike[str]) -> None:
    """Refuse what is no regular file: a library that is given a device or a pipe may read it without end.

    Raises:
        OSError: It cannot be found, is no regular file, is empty, or is larger than ``LARGEST_FILE``.
    """
    _check(Path(path).stat())


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
        raise OSError(errno.EINVAL, f"it is {kind}, no regular file")
    if status.st_size == 0:  # as the files of /proc, whose real size is only known at their end
        raise OSError(errno.EINVAL, "it is empty")
    if status.st_size > LARGEST_FILE:
        raise _too_large()


def _too_large() -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {LARGEST_FILE >> 20} MiB")
