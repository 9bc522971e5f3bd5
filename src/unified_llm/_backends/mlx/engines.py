"""The engines of this process: one for each model, started on first use and closed at exit."""

from __future__ import annotations

import atexit
import os
from pathlib import Path

from unified_llm._backends.mlx.engine import Engine, fork_error
from unified_llm._lib.fork_safe import make_lock

_engines: dict[Path, Engine] = {}
_engines_lock = make_lock()
_engines_pid = os.getpid()


def get_engine(folder: Path) -> Engine:
    """Return this process's engine for a model, starting it on first use; one that has ended is replaced.

    A model whose files cannot be loaded is not loaded again until one of the files has changed: its engine refuses each
    request at once.

    Raises:
        EngineError: An engine was started before this process was forked.
    """
    global _engines_pid  # noqa: PLW0603 - the process that started the engines
    if _engines_pid != os.getpid():
        if _engines and (refusal := fork_error(_engines_pid)):
            raise refusal
        _engines_pid = os.getpid()
    folder = folder.resolve()
    with _engines_lock:
        engine = _engines.get(folder)
        if engine is None or engine.may_be_replaced:
            engine = _engines[folder] = Engine(folder)
        return engine


@atexit.register
def close_engines() -> None:
    """Close every engine of this process; called at exit, and harmless at any other time."""
    while _engines and _engines_pid == os.getpid():
        _engines.popitem()[1].close()
