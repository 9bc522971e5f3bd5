"""The engines of this process: one for each model, started on first use and closed at exit.

An engine that is unloaded ends in its own thread, while the next one may be starting: nobody waits for it, except the
thread of an engine that needs its memory, and the exit of the process.

A thread that computes while the interpreter is finalized ends the process by ``abort``. So the exit waits for all
threads, and from then on none is started::

    main thread ends    threads that are no daemons end    callbacks of atexit     finalization
    ------------------------ engines start -------------->|-- close_at_exit -->|
                                                           none starts from here on
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine import Engine, fork_error
from unified_llm._backends.mlx.engine_types import EngineError, EngineKey, EngineState
from unified_llm._backends.mlx.loading import has_gpu
from unified_llm._backends.mlx.memory import Held, active_memory, choose_unloads, default_limit
from unified_llm._backends.mlx.model_names import resolve_folder
from unified_llm._backends.mlx.process_file import ProcessFile, ProcessModel, program_name
from unified_llm._backends.mlx.weight_sizes import SizeEstimate, estimate_size
from unified_llm._core import runtime
from unified_llm._core.mlx_config import MLXConfig
from unified_llm._core.target import Target
from unified_llm._lib.fork_safe import make_condition, make_lock, run_in_child
from unified_llm._lib.local_files import expand_home

LOCK: Final = make_lock()
"""While a thread holds this, no other unloads a model: hold it from ``get_engine`` until the request is submitted.

It is held for moments only: nothing is loaded, joined or waited for under it."""

_log: Final = logging.getLogger("unified_llm")
_DEFAULTS: Final = MLXConfig()
_engines: dict[EngineKey, Engine] = {}
_ending: list[Engine] = []  # those that were told to end, and may still do so
# In a forked child, those of the parent: their arrays must not be freed.
_of_parent: Final[list[Engine]] = []
_has_exited = False  # whether `close_at_exit` was called
_is_used = False  # whether an engine was ever started in this process
_is_used_by_parent = (
    False  # then threads of MLX that a child would wait for do not exist in it, even after `close_engines`
)
_changed: Final = make_condition(LOCK)  # a model is there that may be due before the others
_watcher: threading.Thread | None = None
_file: Final = ProcessFile()
# Seconds between two looks at what `unified-llm mlx ps` shows, while models are in memory: no request writes anything.
_REFRESH: Final = 5.0


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Facts about an engine at one instant.

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


def get_engine(
    key: EngineKey | Path,
    *,
    settings: MLXConfig = _DEFAULTS,
    memory_limit: int | None = None,
    unload_others: bool = True,
) -> Engine:
    """Return this process's engine for a model, starting it on first use; one that has ended is replaced.

    A model whose files cannot be loaded is not loaded again until one of the files has changed: its engine refuses each
    request at once.

    Args:
        key: The model with its adapter and draft model, or the folder of a model alone.
        settings: Those of the target, which hold for the engine from now on.
        memory_limit: The bytes that the models in this process may take together when this one is loaded; None for the
            default.
        unload_others: Whether idle models may be unloaded to make room. The engine ends with an ``EngineError`` where
            there is none.

    Raises:
        EngineError: An engine was started before this process was forked; or a new one cannot be started, since the
            process ends or may have no more threads.
    """
    refuse_in_child()
    key = key if isinstance(key, EngineKey) else EngineKey(key.resolve())
    with LOCK:
        engine = _engines.get(key)
        if engine is None or engine.may_be_replaced:
            make_room = partial(_make_room, memory_limit=memory_limit, may_unload=unload_others)
            started = _start(key, settings, make_room)
            if engine is not None:
                _ending.append(engine)
            engine = _engines[key] = started
            _watch()
        elif engine.settings is not settings:
            is_sooner = settings.unload_after < engine.settings.unload_after
            engine.settings = settings
            if is_sooner:
                _watch()
        return engine


def refuse_in_child() -> None:
    """Refuse to go on in a forked child whose parent had engines: their threads do not exist there.

    Raises:
        EngineError: This is such a child.
    """
    if _is_used_by_parent:
        raise fork_error()


def _start(key: EngineKey, settings: MLXConfig, make_room: Callable[[Engine], None]) -> Engine:
    """Start an engine; the caller holds the lock.

    Raises:
        EngineError: The process ends, or may have no more threads.
    """
    global _is_used  # noqa: PLW0603 - of the process
    main = threading.main_thread()
    # The main thread goes on after its end to call what is registered with `atexit`; Python 3.11 starts threads then.
    if _has_exited or (main is threading.current_thread() and not main.is_alive()):
        message = f"The process ends: the model in {key.folder} is not loaded any more."
        # As when it is closed during a request: a thread that the exit does not wait for tries again until it is gone.
        raise EngineError("server", message, reason="the process ends")
    try:
        engine = Engine(key, settings, make_room)
    except RuntimeError as error:
        message = f"No thread could be started for the model in {key.folder}: end others, or raise their limit."
        raise EngineError("unsupported", message, reason="no thread could be started") from error
    _is_used = True
    return engine


def _make_room(engine: Engine, *, memory_limit: int | None, may_unload: bool) -> None:
    """Take memory for a model, in its engine's thread, before it is loaded; wait until what it needs is free.

    Raises:
        EngineError: It does not fit, or its engine was told to end meanwhile.
    """
    if unavailable_reason():
        return  # loading says what is missing
    estimate = estimate_size(engine.key, on_gpu=has_gpu())
    limit = memory_limit or default_limit()
    with LOCK:
        if engine in _ending:  # it must not wait for others that end: they may wait for it
            raise EngineError("server", f"The engine of the model in {engine.folder} was closed: start a new one.")
        others = [other for other in _engines.values() if other is not engine]
        running = max(0, active_memory() - sum(other.size for other in (*others, *_ending)))
        held: list[Held[Engine | None]] = [
            Held(other, other.size, other.last_used, in_use=other.pending > 0 or other.state == "loading")
            for other in others
        ]
        held.append(Held(None, running, 0, in_use=True))  # the caches of running requests, whosever they are
        size, unloads = _fit(engine.folder, held, estimate, limit, may_unload=may_unload)
        for unloaded in filter(None, unloads):
            _end(unloaded)
        stay = running + sum(other.size for other in others if other not in unloads)
        engine.reserve(size, limit - stay)
        is_over = size + stay + sum(other.size for other in _ending) > limit
        ending = list(_ending) if is_over else []
    for other in ending:
        other.join()


def _fit(
    folder: Path, held: list[Held[Engine | None]], estimate: SizeEstimate, limit: int, *, may_unload: bool
) -> tuple[int, list[Engine | None]]:
    """Return the size with which a model is loaded, unpacked where that fits, and which others are unloaded for it."""
    if estimate.packed < estimate.size:
        with suppress(EngineError):
            return estimate.size, choose_unloads(held, folder, estimate.size, limit, may_unload=may_unload)
    return estimate.packed, choose_unloads(held, folder, estimate.packed, limit, may_unload=may_unload)


def find_engine(key: EngineKey) -> Engine | None:
    """Return this process's engine for a model, in whatever state; None where none was started, or it was unloaded."""
    with LOCK:
        return _engines.get(key)


def unload(key: EngineKey) -> bool:
    """Unload a model that no request waits for or uses, without waiting until its memory is free.

    Returns:
        Whether it was loaded, or being loaded, and is not any more.
    """
    with LOCK:
        engine = _engines.get(key)
        if engine is None or engine.pending or engine.ended is not None:
            return False
        _end(engine)
        return True


def unload_idle() -> float | None:
    """Unload the models that had no request for the time that their settings say.

    Returns:
        Seconds until one may be due; infinite if none ever will be, and None where no model is loaded.
    """
    now = runtime.current().now()
    waits: list[float] = []
    with LOCK:
        for engine in [engine for engine in _engines.values() if engine.ended is None]:
            left = engine.settings.unload_after
            if engine.state == "ready" and not engine.pending:
                left += engine.last_used - now
            if left > 0:
                waits.append(left)
            else:
                _log.info(
                    "unloading the model in %s: it had no request for %g s", engine.folder, now - engine.last_used
                )
                _end(engine)
    return min(waits, default=None)


def _watch() -> None:
    """Let the one thread that unloads idle models look at them; the caller holds the lock."""
    global _watcher  # noqa: PLW0603 - one thread for all engines
    if _watcher is None or not _watcher.is_alive():
        watcher = threading.Thread(target=_unload_when_due, name="mlx-unload-idle", daemon=True)
        with suppress(RuntimeError):  # no more threads: the next engine tries again
            watcher.start()
            _watcher = watcher
    _changed.notify()


def _unload_when_due() -> None:
    global _watcher  # noqa: PLW0603 - as above
    with LOCK:
        while (left := unload_idle()) is not None:
            _file.write(_describe())
            _changed.wait(min(left, _REFRESH))
        _file.write([])
        _watcher = None


def _describe() -> list[ProcessModel]:
    """Return what the file of this process says."""
    now, wall, program = runtime.current().now(), runtime.current().wall(), program_name()
    models: list[ProcessModel] = []
    for facts in snapshot():
        adapter, draft = (None if folder is None else str(folder) for folder in (facts.key.adapter, facts.key.draft))
        is_idle = facts.state == "ready" and not facts.pending
        idle_since = round(wall - now + facts.last_used, 1) if is_idle else None
        unload_at = None if idle_since is None else idle_since + facts.unload_after
        models.append(
            ProcessModel(
                os.getpid(),
                program,
                str(facts.key.folder),
                adapter,
                draft,
                facts.state,
                facts.size,
                facts.pending,
                idle_since,
                unload_at if unload_at != float("inf") else None,
            )
        )
    return models


def snapshot() -> list[EngineFacts]:
    """Return what the engines of this process are doing, those that could not load their model included."""
    with LOCK:
        engines = list(_engines.values())
    return [
        EngineFacts(
            engine.key, engine.state, engine.size, engine.pending, engine.last_used, engine.settings.unload_after
        )
        for engine in engines
    ]


def close_engines() -> None:
    """Close every engine of this process, all at once, and wait until the last has ended; harmless at any time."""
    with LOCK:
        for engine in list(_engines.values()):
            _end(engine)
        ending = list(_ending)
    for engine in ending:
        engine.join()
    with LOCK:
        _file.write([])


@atexit.register
def close_at_exit() -> None:
    """Close every engine, however often the user interrupts that, and let none start any more."""
    global _has_exited  # noqa: PLW0603 - of the process
    while True:
        try:
            _has_exited = True
            close_engines()
        except KeyboardInterrupt:
            continue
        return


def _end(engine: Engine) -> None:
    """Take an engine out of the table and let its thread end; the caller holds the lock."""
    del _engines[engine.key]
    _ending[:] = [other for other in _ending if other.is_alive]
    _ending.append(engine)
    engine.stop()


def _leave_to_parent() -> None:
    """Begin a forked child without engines; where its parent had some, it cannot start any."""
    global _is_used_by_parent  # noqa: PLW0603 - of the process
    _is_used_by_parent = _is_used_by_parent or _is_used
    _of_parent.extend((*_engines.values(), *_ending))
    _engines.clear()
    _ending.clear()


run_in_child(_leave_to_parent)
