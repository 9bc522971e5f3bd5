"""A file that is written as a whole: under another name, through to the disk, and then renamed."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

_OPEN: Final = re.compile(r"/dev/(std(in|out|err)|fd/.*)|/proc/[^/]+/fd/.*", re.DOTALL)


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is that of a pipe, a terminal or a device, or of what this process has open already.

    No file can be beside it, and none can take its place. It is not resolved: ``/dev/stdout`` of a pipe leads to a name
    that no file has.
    """
    path = Path(path)
    return _OPEN.fullmatch(str(path)) is not None or (path.exists() and not path.is_file() and not path.is_dir())


@contextmanager
def write_whole(path: str | os.PathLike[str]) -> Generator[BinaryIO]:
    """Open a file to be written. It has its name at the end of the block; before that, an older one is untouched.

    What is no regular file, such as ``/dev/stdout``, is written as it is.

    Raises:
        OSError: It cannot be written.
    """
    if is_stream(path):
        with Path(path).open("ab") as file:  # a file that standard output was appended to keeps its beginning
            yield file
        return
    target = Path(path).resolve()
    part = target.with_name(f".{target.name}.part")  # what a kill leaves of it, the next run replaces
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(target)
        raise
