"""Open the checkpoint of a run, with errors that say what to do."""

from __future__ import annotations

import os
from pathlib import Path

from unified_llm._core import runtime
from unified_llm._lib.checkpoint import Checkpoint, CheckpointError
from unified_llm.exceptions import ConfigurationError


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint: a file, or a folder with a part for each process. The caller closes it.

    Raises:
        ConfigurationError: It is another file, another run writes to it, or it cannot be read or written.
    """
    checkpoint = Checkpoint(path, clock=runtime.current().now)
    try:
        return checkpoint.open()
    except CheckpointError as error:
        raise ConfigurationError(str(error)) from None
    except OSError as error:
        raise ConfigurationError(f"The checkpoint {Path(path)} cannot be used: {error.strerror}.") from None
