"""The options of a run over many prompts, and their checks."""

from __future__ import annotations

import os
from collections.abc import Sized
from dataclasses import dataclass
from typing import Any

from unified_llm._client.map.progress import Progress, make_progress
from unified_llm._client.read_request import check_whole_number
from unified_llm._lib.checkpoint import Checkpoint
from unified_llm.exceptions import ValidationError


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run.

    Attributes:
        concurrency: The most calls at once.
        ordered: Whether results are returned in the order of the prompts.
        raise_errors: Whether the first prompt that fails ends the run.
        max_failed: The most prompts that may fail; None for no limit.
        checkpoint: Where responses are stored: a path, an open checkpoint, or None.
        progress: Shows the totals.
    """

    concurrency: int
    ordered: bool
    raise_errors: bool
    max_failed: int | None
    checkpoint: str | os.PathLike[str] | Checkpoint | None
    progress: Progress


def read_options(
    source: object,
    *,
    concurrency: Any,
    ordered: Any,
    progress: Any,
    checkpoint: Any,
    on_error: Any,
    max_failed: Any,
) -> RunOptions:
    """Check the options of a run over ``source``, as users pass them.

    Raises:
        ValidationError: One of them is wrong.
    """
    if concurrency is None:
        raise ValidationError("concurrency must be a whole number, 1 or greater.")
    check_whole_number("concurrency", concurrency, 1)
    check_whole_number("max_failed", max_failed, 0)
    if not isinstance(ordered, bool):
        raise ValidationError("ordered must be True or False.")
    if on_error not in ("value", "raise"):
        raise ValidationError('on_error is "value" or "raise".')
    if not isinstance(checkpoint, (str, os.PathLike, Checkpoint, type(None))):
        raise ValidationError(f"checkpoint is the path of a file; got {type(checkpoint).__name__}.")
    shown = make_progress(progress, len(source) if isinstance(source, Sized) else None)
    return RunOptions(concurrency, ordered, on_error == "raise", max_failed, checkpoint, shown)
