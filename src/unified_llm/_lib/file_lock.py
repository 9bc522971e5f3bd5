"""A lock on an open file, which the end of the process releases, whatever ends it."""

from __future__ import annotations

import errno
import sys
from typing import BinaryIO, Final

_TAKEN: Final = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_FAR: Final = 1 << 62  # beyond the content of any file: Windows lets nobody read what is locked


def lock_file(file: BinaryIO) -> bool:
    """Lock a file for this process until it is closed; return False where another opening of it is locked.

    A file system that has no locks (some network drives) counts as locked by nobody else.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _TAKEN
    return True
