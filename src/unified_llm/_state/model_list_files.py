"""Model lists in a folder, for later processes and others of this user; off unless ``model_cache`` is configured.

There is one file for each list, which only its owner can read. It is written under another name and renamed, so that a
reader sees a whole list, the one before or none. Neither its name nor its content has an API key in it. What is wrong
with a folder or a file (full, read-only, damaged, of somebody else) is logged once, and the list is requested again.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from unified_llm._core import defaults, runtime
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.user_cache import user_cache_folder
from unified_llm._formats.json_values import is_number
from unified_llm._lib import bounded_json
from unified_llm._state.model_list_records import digest, read_models, write_models
from unified_llm._version import __version__
from unified_llm.types.responses import ModelInfo

LONGEST_STALE: Final = 86_400.0
"""Seconds for which an old list may be returned, counted from when it was requested."""

# Files of another version are not read: the fields of a model may be others.
_FORMAT: Final = f"unified-llm {__version__} model list 1"
_MAX_BYTES: Final = 4 << 20
_MANY_FILES: Final = 256  # from so many on, those that are of no use any more are removed
_OWN_FILE: Final = re.compile(r"[0-9a-f]{32}\.json|\.[0-9a-f]{32}\.[0-9a-f]{16}\.tmp")
_READ: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe of that name must not block
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_CREATE: Final = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)  # fmt: skip


class _UnusableError(Exception):
    """A file is not what was written; the text says what it is."""


class Stored(NamedTuple):
    """A list that was read.

    Attributes:
        models: The models.
        age: Seconds since it was requested.
    """

    models: tuple[ModelInfo, ...]
    age: float


def folder() -> Path | None:
    """Return the folder of the lists; None where there is none, or a test simulates providers.

    Raises:
        ConfigurationError: ``UNIFIED_LLM_MODEL_CACHE`` holds neither true nor false nor a folder.
    """
    if runtime.current().exchange:
        return None
    configured: bool | str | None = defaults.default("model_cache")
    if not configured:
        return None
    return _user_folder() if configured is True else Path(configured)


def _user_folder() -> Path | None:
    caches = user_cache_folder()
    return None if caches is None else caches / "models"


def read(key: Hashable) -> Stored | None:
    """Return the list that is stored, at most a day old; None where there is none, or it cannot be used."""
    path = _path_of(key)
    if path is None:
        return None
    try:
        return _parse(_read_file(path), path.stem)
    except FileNotFoundError:
        return None
    except (_UnusableError, OSError, ValueError) as error:
        _warn(path.parent, error)
        return None


def write(key: Hashable, models: tuple[ModelInfo, ...]) -> None:
    """Store a list that was requested now."""
    path = _path_of(key)
    if path is None:
        return
    record = {"format": _FORMAT, "list": path.stem, "requested": runtime.current().wall()}
    data = bounded_json.dump({**record, "models": write_models(models)}).encode()
    if len(data) > _MAX_BYTES:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_file(path, data)
        _remove_useless(path.parent)
    except (OSError, ValueError) as error:
        _warn(path.parent, error)


def remove(key: Hashable) -> None:
    """Remove a list that was dropped."""
    path = _path_of(key)
    if path is not None:
        try:
            path.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            _warn(path.parent, error)


def _path_of(key: Hashable) -> Path | None:
    try:
        where = folder()
    except RuntimeError:  # this user has no home
        _warn(Path("~"), _UnusableError("there is no such folder"))
        return None
    name = digest(key) if where else None
    return where / f"{name}.json" if where and name else None


def _read_file(path: Path) -> bytes:
    with os.fdopen(os.open(path, _READ), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _UnusableError("it is no regular file")
        if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
            raise _UnusableError("it belongs to another user")
        if os.name == "posix" and status.st_mode & 0o077:
            raise _UnusableError("others can read or change it")
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise _UnusableError("it is too large")
    return data


def _parse(data: bytes, name: str) -> Stored | None:
    try:
        record = bounded_json.parse_object(data)
    except bounded_json.JSONError:
        raise _UnusableError("it is damaged") from None
    if record.get("format") != _FORMAT:
        return None
    models, requested = read_models(record.get("models")), record.get("requested")
    if models is None or not is_number(requested) or record.get("list") != name:
        raise _UnusableError("it is damaged")
    age = runtime.current().wall() - requested
    return Stored(models, age) if 0 <= age < LONGEST_STALE else None


def _write_file(path: Path, data: bytes) -> None:
    own = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(os.open(own, _CREATE, 0o600), "wb") as file:
            file.write(data)
        own.replace(path)
    except BaseException:
        with suppress(OSError):
            own.unlink(missing_ok=True)
        raise


def _remove_useless(where: Path) -> None:
    """Remove lists that are more than a day old, and what interrupted processes left, if there are many files."""
    with os.scandir(where) as entries:
        files = [entry for entry in entries if _OWN_FILE.fullmatch(entry.name)]
    if len(files) <= _MANY_FILES:
        return
    for entry in files:
        with suppress(OSError):  # another process removes them as well
            if runtime.current().wall() - entry.stat(follow_symlinks=False).st_mtime > LONGEST_STALE:
                Path(entry).unlink()


def _warn(where: Path, error: Exception) -> None:
    """Log what is wrong, once in a process; the text of an error of the system would repeat the path."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    text = (
        "model cache: a file in %s cannot be used (%s); model lists are requested again. Check the folder, or remove it"
    )
    warn_once("model cache", text, where, reason)
