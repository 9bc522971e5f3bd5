"""A file of finished work, from which a later process goes on: for ``map``, the command line and Ray.

The file is only appended to. Its first line says what it is, each further line is one finished item:

    {"unified_llm_checkpoint":1}
    {"id":"9f86d081884c7d65","key":"question-1","fingerprint":"2c26b4...","record":{...}}
    {"id":"60303ae22b998861","key":"question-2","fingerpri          <- torn by a SIGKILL: cut off when it is opened

An item is finished where its key is in the file together with the same fingerprint: the digest of what determines its
response. Of lines with one ``id`` the last counts. A line goes to the operating system before ``put`` returns, so that
no end of the process loses it; the disk gets them in batches, so a loss of power may take the last of these.

In memory there is an index alone: 150 bytes for each item, whatever the size of its record.

A folder in position of a file holds a part for each process that writes: all are read, and none of them is shared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, cast

from unified_llm._lib.bounded_json import JSONError, dump, parse
from unified_llm._lib.file_lock import lock_file
from unified_llm._lib.fork_safe import make_lock

_HEADER: Final = b'{"unified_llm_checkpoint":1}\n'
_BEGINNING: Final = b'{"id":"'
_ID: Final = slice(len(_BEGINNING), len(_BEGINNING) + 16)
_PART: Final = "part-{:06}.jsonl"
_MOST_PARTS: Final = 1_000_000
# A batch ends after so many items, or seconds.
_ITEMS_AT_ONCE: Final = 100
_SECONDS_AT_ONCE: Final = 0.5
# The index has the number of a part above the offset in it.
_OFFSET_BITS: Final = 44
_OFFSET: Final = (1 << _OFFSET_BITS) - 1
_MAX_STRUCTURE: Final = 1 << 30  # what was written here was bounded when it arrived


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message says why, and what to do."""


class Checkpoint:
    """Finished work in a file, or in a folder of parts. For threads; not for a fork of its process.

    Args:
        path: The file, which is made where there is none. A folder, or a path that ends with a slash: a part for each
            process.
        fsync: Write each batch through to the disk.
        clock: Tells the seconds after which a batch ends; None: it ends by its number of items alone.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, fsync: bool = True, clock: Callable[[], float] | None = None
    ) -> None:
        self.path: Final = Path(path)
        self._is_folder = str(path).endswith(("/", os.sep)) or self.path.is_dir()
        self._fsync = fsync
        self._clock: Callable[[], float] = clock or (lambda: 0.0)
        self._lock = make_lock()
        self._parts: list[Path] = []
        self._index: dict[int, int] = {}
        self._read: tuple[int, BinaryIO] | None = None
        self._file: BinaryIO | None = None
        self._end = 0
        self._unsynced = 0
        self._synced_at = 0.0
        self._process = os.getpid()
        self._is_open = False

    def __enter__(self) -> Self:
        """Open it."""
        return self.open()

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Show the path and the number of items."""
        return f"Checkpoint({str(self.path)!r}, items={len(self)})"

    def __len__(self) -> int:
        """Count the items that are finished."""
        return len(self._index)

    def open(self) -> Self:
        """Read what is there, and make it ready for more.

        Raises:
            CheckpointError: It is no checkpoint, or another process writes to it.
            OSError: It cannot be read or written.
        """
        with self._lock:
            if self._is_open:
                return self
            if self._is_folder:
                self.path.mkdir(parents=True, exist_ok=True)
                for part in sorted(self.path.glob("part-*.jsonl")):
                    self._read_part(part)
            else:
                self._begin_part(self.path)
            self._is_open, self._process, self._synced_at = True, os.getpid(), self._clock()
            return self

    def get(self, key: str, fingerprint: str) -> dict[str, Any] | None:
        """Return the record of an item; None where it is not finished, or its line is damaged."""
        with self._lock:
            position = self._index.get(_item_id(key, fingerprint))
            line = b"" if position is None else self._line_at(position)
        try:
            item = parse(line, max_structure=_MAX_STRUCTURE)
        except JSONError:
            return None
        match item:
            case {"key": str(stored), "fingerprint": str(digest), "record": dict(record)}:
                same = stored == key and digest == fingerprint
                return cast("dict[str, Any]", record) if same else None
            case _:
                return None

    def has(self, key: str, fingerprint: str) -> bool:
        """Return whether an item is finished, without reading its record."""
        return _item_id(key, fingerprint) in self._index

    def put(self, key: str, fingerprint: str, record: Mapping[str, Any]) -> None:
        """Store the record of a finished item.

        Raises:
            JSONError: The record is no JSON.
            CheckpointError: It is closed, or this is a fork of the process that opened it.
            OSError: The disk is full, or failed. The file is then as it was before.
        """
        item = _item_id(key, fingerprint)
        fields = dump({"id": f"{item:016x}", "key": key, "fingerprint": fingerprint, "record": record})
        with self._lock:
            self._check_usable()
            file = self._file or self._begin_next_part()
            position = (len(self._parts) - 1) << _OFFSET_BITS | self._end
            self._append(file, fields.encode() + b"\n")
            self._index[item] = position
            self._unsynced += 1
            if self._unsynced >= _ITEMS_AT_ONCE or self._clock() - self._synced_at >= _SECONDS_AT_ONCE:
                self.flush()

    def flush(self) -> None:
        """Write what was stored through to the disk.

        Raises:
            OSError: The disk failed.
        """
        with self._lock:
            if self._fsync and self._unsynced and self._file is not None:
                os.fsync(self._file.fileno())
            self._unsynced, self._synced_at = 0, self._clock()

    def close(self) -> None:
        """Write the rest through to the disk, and let others open it. It can be opened again."""
        with self._lock:
            try:
                self.flush()
            finally:
                for file in (self._file, self._read and self._read[1]):
                    if file is not None:
                        file.close()
                self._file = self._read = None
                self._parts, self._index, self._is_open = [], {}, False

    # Its files

    def _check_usable(self) -> None:
        if not self._is_open:
            raise CheckpointError(f"The checkpoint {self.path} is closed.")
        if os.getpid() != self._process:
            raise CheckpointError(
                f"The checkpoint {self.path} was opened by the process that this one was forked from: open a folder of "
                "parts in each process instead."
            )

    def _begin_next_part(self) -> BinaryIO:
        """Make the part of this process: no other has one of its number."""
        for number in range(len(self._parts) + 1, _MOST_PARTS):
            with suppress(FileExistsError):
                return self._begin_part(self.path / _PART.format(number), "xb")
        raise CheckpointError(f"The checkpoint {self.path} has too many parts: use another folder.")

    def _begin_part(self, path: Path, mode: str = "ab") -> BinaryIO:
        """Open a file for more lines, after those that are whole.

        The lock comes first: what is torn while another process writes is not torn.
        """
        file = cast("BinaryIO", open(path, mode, buffering=0, opener=_private))  # noqa: SIM115 - close() closes it
        try:
            _claim(file, path)
            self._end = self._read_part(path)
            file.truncate(self._end)
            if self._end == 0:
                self._append(file, _HEADER)
                self._sync_folder(path.parent)
        except BaseException:
            file.close()
            raise
        self._file = file
        return file

    def _read_part(self, path: Path) -> int:
        """Add the items of a file to the index; return where its whole lines end.

        Raises:
            CheckpointError: It is another file.
        """
        number = len(self._parts)
        self._parts.append(path)
        with path.open("rb") as lines:
            first = lines.readline(len(_HEADER))
            if not _HEADER.startswith(first):
                raise CheckpointError(f"{path} is no checkpoint: it is another file, which was left as it is.")
            end = len(first) if first == _HEADER else 0
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                if (item := _read_id(line)) is not None:
                    self._index[item] = number << _OFFSET_BITS | end
                end += len(line)
        return end

    def _line_at(self, position: int) -> bytes:
        number, offset = position >> _OFFSET_BITS, position & _OFFSET
        if self._read is None or self._read[0] != number:
            if self._read is not None:
                self._read[1].close()
            self._read = number, self._parts[number].open("rb")
        self._read[1].seek(offset)
        return self._read[1].readline()

    def _append(self, file: BinaryIO, line: bytes) -> None:
        """Write a line, or nothing of it."""
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except BaseException as error:
            if isinstance(error, OSError):
                error.filename = str(self._parts[-1])
            self._cut_off(file)
            raise
        self._end += len(line)

    def _cut_off(self, file: BinaryIO) -> None:
        """Remove what was written of a line; where that fails too, nothing may follow it."""
        try:
            file.truncate(self._end)
        except OSError:
            self._is_open = False
            raise

    def _sync_folder(self, folder: Path) -> None:
        """Make the name of a new file last as well; Windows has no such call."""
        if not self._fsync:
            return
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _claim(file: BinaryIO, path: Path) -> None:
    """Lock a file.

    Raises:
        CheckpointError: Another run has it.
    """
    if not lock_file(file):
        raise CheckpointError(
            f"The checkpoint {path} is in use: another run writes to it. Wait for its end, or use another file."
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _item_id(key: str, fingerprint: str) -> int:
    """Return 64 bits of a digest. Where two items have the same ones, the earlier is asked again."""
    return int.from_bytes(blake2b(f"{fingerprint}\0{key}".encode(errors="replace"), digest_size=8).digest())


def _read_id(line: bytes) -> int | None:
    if line.startswith(_BEGINNING) and line.endswith(b"}}\n"):
        with suppress(ValueError):
            return int(line[_ID], 16)
    return None
