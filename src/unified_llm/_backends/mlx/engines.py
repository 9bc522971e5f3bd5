"""The engines of this process: one for each model, started on first use and closed at exit.

An engine that is unloaded ends in its own thread, while the next one may be starting: nobody waits for it, except the
thread of an engine that needs its memory, and the exit of the process.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unified_llm._backends.mlx.engine import Engine, fork_error
from unified_llm._backends.mlx.engine_types import EngineKey, EngineState
from unified_llm._backends.mlx.model_names import resolve_folder
from unified_llm._core.mlx_config import MLXConfig
from unified_llm._core.target import Target
from unified_llm._lib.fork_safe import make_lock
from unified_llm._lib.local_files import expand_home

LOCK: Final = make_lock()
"""While a thread holds this, no other unloads a model: hold it from ``get_engine`` until the request is submitted.

It is held for moments only: nothing is loaded, joined or waited for under it."""

_DEFAULTS: Final = MLXConfig()
_engines: dict[EngineKey, Engine] = {}
_ending: list[Engine] = []  # those that were told to end, and may still do so
_engines_pid = os.getpid()


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine is doing.

    Attributes:
        key: The model, with its adapter and its draft model.
        state: Whether the model is being loaded, is ready, or could not be loaded.
        size: The bytes that the model takes in memory: estimated, then measured; 0 while not known.
        pending: The number of requests that wait or run.
        last_used: The instant at which a request came or ended last, of ``runtime.current().now``.
        unload_after: Seconds without a request after which the model is unloaded.
    """

    key: EngineKey
    state: EngineState
    size: int
    pending: int
    last_used: float
    unload_after: float


def engine_key(target: Target) -> EngineKey:
    """Return which weights a target needs.

    Raises:
        ConfigurationError: There is no folder of the model, or of its draft model.
    """
    adapter, draft = target.mlx.adapter_path, target.mlx.draft_model
    return EngineKey(
        resolve_folder(target.model).resolve(),
        None if adapter is None else expand_home(adapter).resolve(),
        None if draft is None else resolve_folder(draft).resolve(),
    )


def get_engine(key: EngineKey | Path, *, settings: MLXConfig = _DEFAULTS, memory_limit: int | None = None) -> Engine:
    """Return this process's engine for a model, starting it on first use; one that has ended is replaced.

    A model whose files cannot be loaded is not loaded again until one of the files has changed: its engine refuses each
    request at once.

    Args:
        key: The model with its adapter and draft model, or the folder of a model alone.
        settings: Those of the target, which hold for the engine from now on.
        memory_limit: The bytes that the models in this process may take together when this one is loaded; None for the
            default.

    Raises:
        EngineError: An engine was started before this process was forked.
    """
    del memory_limit
    _check_process()
    key = key if isinstance(key, EngineKey) else EngineKey(key.resolve())
    with LOCK:
        engine = _engines.get(key)
        if engine is None or engine.may_be_replaced:
            if engine is not None:
                _ending.append(engine)
            engine = _engines[key] = Engine(key, settings)
        engine.settings = settings
        return engine


def find_engine(key: EngineKey) -> Engine | None:
    """Return this process's engine for a model, in whatever state; None where none was started, or it was unloaded."""
    with LOCK:
        return _engines.get(key) if _engines_pid == os.getpid() else None


def unload(key: EngineKey) -> bool:
    """Unload a model that no request waits for or uses, without waiting until its memory is free.

    Returns:
        Whether it was loaded, or being loaded, and is not any more.
    """
    with LOCK:
        engine = _engines.get(key)
        if engine is None or engine.pending or engine.ended is not None or _engines_pid != os.getpid():
            return False
        _end(engine)
        return True


def snapshot() -> list[EngineFacts]:
    """Return what the engines of this process are doing, those that could not load their model included."""
    if _engines_pid != os.getpid():
        return []
    with LOCK:
        engines = list(_engines.values())
    return [
        EngineFacts(
            engine.key, engine.state, engine.size, engine.pending, engine.last_used, engine.settings.unload_after
        )
        for engine in engines
    ]


@atexit.register
def close_engines() -> None:
    """Close every engine of this process; called at exit, and harmless at any other time."""
    while (engine := _take_engine()) is not None:
        engine.close()


def _take_engine() -> Engine | None:
    with LOCK:
        if _engines_pid != os.getpid():
            return None
        if _engines:
            return _engines.popitem()[1]
        return _ending.pop() if _ending else None


def _end(engine: Engine) -> None:
    """Take an engine out of the table and let its thread end; the caller holds the lock."""
    del _engines[engine.key]
    _ending[:] = [other for other in _ending if other.is_alive]
    _ending.append(engine)
    engine.stop()


def _check_process() -> None:
    """Refuse to use the engines of a process from its forked child."""
    global _engines_pid  # noqa: PLW0603 - the process that started the engines
    if _engines_pid != os.getpid():
        if _engines and (refusal := fork_error(_engines_pid)):
            raise refusal
        _engines_pid = os.getpid()
