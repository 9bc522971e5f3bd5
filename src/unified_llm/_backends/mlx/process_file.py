"""One small file for each process that has a model of MLX in memory, for ``unified-llm mlx ps``.

The files are in the user's folder for caches, can be read by that user alone, and hold paths, sizes and times, never
anything of a request. A process holds a lock on its file, which the system takes away when the process ends in whatever
way: a file that is not locked is one that a killed process left, and is removed by the next reader::

    process    create, lock ---- write ---- write ---- remove at exit
    reader           locked: read it        not locked: remove it
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from unified_llm._core.user_cache import user_cache_folder
from unified_llm._lib.fork_safe import run_in_child

_MOST: Final = 1_000_000  # bytes of a file that is read


@dataclass(frozen=True, slots=True)
class ProcessModel:
    """A model in the memory of a process.

    Attributes:
        pid: The process.
        program: Its program, without arguments.
        model: The folder of the model.
        adapter: That of its adapter, if it has one.
        draft: That of its draft model, if it has one.
        state: ``loading``, ``ready`` or ``ended`` (it could not be loaded).
        size: The bytes that it takes in memory; 0 while not known.
        requests: The requests that wait or run.
        idle_since: The time of day, in seconds since the epoch, of the last request; None while one waits or runs, and
            unless it is ready.
        unload_at: The time of day at which it is unloaded; None where that is, too, and for never.
    """

    pid: int
    program: str
    model: str
    adapter: str | None
    draft: str | None
    state: str
    size: int
    requests: int
    idle_since: float | None
    unload_at: float | None


class ProcessFile:
    """The file of this process. A folder that cannot be written to means that there is none."""

    def __init__(self) -> None:
        self._open: tuple[int, Path] | None = None
        self._written: tuple[ProcessModel, ...] = ()
        run_in_child(self._forget)

    def _forget(self) -> None:
        if self._open is not None:
            os.close(self._open[0])  # the lock belongs to the parent, which still has the file open
        self._open, self._written = None, ()

    def write(self, models: Sequence[ProcessModel]) -> None:
        """Replace what the file says; without models there is no file."""
        if tuple(models) == self._written:
            return
        self._written = tuple(models)
        with suppress(OSError):
            if not models:
                self._remove()
                return
            if self._open is None:
                self._open = _create()
            if self._open is not None:
                data = json.dumps([asdict(model) for model in models]).encode()
                os.ftruncate(self._open[0], 0)
                os.pwrite(self._open[0], data, 0)

    def _remove(self) -> None:
        if self._open is not None:
            (descriptor, path), self._open = self._open, None
            path.unlink(missing_ok=True)
            os.close(descriptor)


def read_processes() -> list[ProcessModel]:
    """Return the models in the memory of all processes of this user, in order of the processes."""
    folder = _folder()
    try:
        paths = sorted(folder.glob("*.json")) if folder is not None else []
    except OSError:
        return []
    return sorted((model for path in paths for model in _read(path)), key=lambda model: (model.pid, model.model))


def program_name() -> str:
    """Return the program of this process without its arguments, which could hold a prompt."""
    return Path(sys.argv[0] if sys.argv and sys.argv[0] not in {"", "-c"} else sys.executable or "python").name[:60]


def _folder() -> Path | None:
    folder = user_cache_folder()
    return None if folder is None else folder / "mlx"


def _create() -> tuple[int, Path] | None:
    folder = _folder()
    if folder is None:
        return None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{os.getpid()}-{os.urandom(4).hex()}.json"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    _lock(descriptor)
    return descriptor, path


def _lock(descriptor: int) -> bool:
    """Lock a file until it is closed; return False where another process has it."""
    import fcntl  # MLX runs on Linux and macOS alone

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Iterator[ProcessModel]:
    with suppress(OSError, ValueError, TypeError, RecursionError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if _lock(descriptor):
                path.unlink(missing_ok=True)
                return
            entries: list[dict[str, Any]] = json.loads(os.pread(descriptor, _MOST, 0))
            yield from [ProcessModel(**entry) for entry in entries]
        finally:
            os.close(descriptor)
