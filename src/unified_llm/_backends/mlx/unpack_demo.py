"""The demo model of a package that is imported from an archive: MLX reads files by their paths alone."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from unified_llm._lib.fork_safe import make_lock
from unified_llm.exceptions import ConfigurationError

_PACKAGE = "unified_llm._backends.mlx"
_lock = make_lock()
_folder: Path | None = None


def unpack_demo() -> Path | None:
    """Return a temporary folder with the files of the demo model, which is removed when this process exits.

    Returns:
        The same folder at each call; None if the archive lacks the model.

    Raises:
        ConfigurationError: The files cannot be written.
    """
    global _folder  # noqa: PLW0603 - one copy for the process
    source = files(_PACKAGE).joinpath("demo")
    if not source.is_dir():
        return None
    with _lock:
        # A forked child uses its parent's copy while that exists.
        if _folder is None or not _folder.is_dir():
            _folder = _unpack(source)
        return _folder


def _unpack(source: Traversable) -> Path:
    try:
        folder = Path(tempfile.mkdtemp(prefix="unified-llm-demo-"))
        atexit.register(_remove, folder, os.getpid())
        for file in source.iterdir():
            if file.is_file():
                (folder / file.name).write_bytes(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            "The package is in an archive, and mlx/demo could not be unpacked into the folder of temporary files "
            f"({error.strerror}): let TMPDIR name a folder with space for it."
        ) from None
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
