"""A file that is written as a whole: under another name, through to the disk, and then renamed."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def write_whole(path: str | os.PathLike[str]) -> Generator[BinaryIO]:
    """Open a file to be written. It has its name at the end of the block; before that, an older one is untouched.

    What is no regular file, such as ``/dev/stdout``, is written as it is.

    Raises:
        OSError: It cannot be written.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
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
