"""Open the checkpoint of a run, and store in it, with errors that say what to do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from unified_llm._core import runtime
from unified_llm._lib.checkpoint import Checkpoint, CheckpointError
from unified_llm._lib.short_repr import printable
from unified_llm.exceptions import ConfigurationError


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint: a file, or a folder with a part for each process. The caller closes it.

    Raises:
        ConfigurationError: It is another file, another run writes to it, or it cannot be read or written.
    """
    path = check_path(path)
    try:
        return Checkpoint(path, clock=runtime.current().now).open()
    except CheckpointError as error:
        raise ConfigurationError(str(error)) from None
    except (OSError, ValueError) as error:  # a ValueError where a path has a null character
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"The checkpoint {printable(path)} cannot be used: {reason}.") from None


def check_path(path: str | os.PathLike[str]) -> str:
    """Return the path of a checkpoint as a text.

    Raises:
        ConfigurationError: It is empty, or a URL, of which a local folder with a strange name would be made.
    """
    path = os.fsdecode(path)
    if not path:
        raise ConfigurationError("The path of the checkpoint is empty: write that of a file, or of a folder.")
    if "://" in path:
        raise ConfigurationError(
            "A checkpoint is a path on this machine or a network file system, and no URL: lines are appended to it."
        )
    return path


def keep(checkpoint: Checkpoint, key: str, fingerprint: str, record: Mapping[str, Any]) -> None:
    """Store the record of a finished item.

    Raises:
        JSONError: The record is no JSON.
        ConfigurationError: The checkpoint cannot be written.
    """
    try:
        checkpoint.put(key, fingerprint, record)
    except (OSError, CheckpointError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(
            f"The checkpoint {checkpoint.path} cannot be written ({reason}), so the run has ended: make room, and "
            "run it again; what was stored is not requested again."
        ) from None


async def store(checkpoint: Checkpoint, key: str, fingerprint: str, record: Mapping[str, Any]) -> None:
    """Do the same as ``keep``, in a thread: it may wait for the disk."""
    await asyncio.to_thread(keep, checkpoint, key, fingerprint, record)
