"""Loading of the model of a target apart from its requests: for calls that wait for it, and in advance, on standby."""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import Future
from typing import Final
from weakref import WeakValueDictionary

from unified_llm._backends.mlx import engines
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineError, LoadImages
from unified_llm._backends.mlx.engines import engine_key, find_engine, get_engine
from unified_llm._core.model_loading import LoadError, ModelState, Preloaded
from unified_llm._core.target import Target
from unified_llm.exceptions import ConfigurationError

# The engine of each model that a target names, as it was found last: a call looks at a few fields, and at no file.
_found: Final[WeakValueDictionary[Hashable, Engine]] = WeakValueDictionary()


def state_of(target: Target, *, images: bool = False) -> ModelState:
    """Return whether the model of a target is in memory; ``loaded`` as well where it cannot be.

    Args:
        target: The target.
        images: Whether the part that reads images has to be there.
    """
    engine = _found.get(_name(target))
    if engine is None or engine.state == "ended":
        try:
            engine = find_engine(engine_key(target))
        except ConfigurationError:
            return "loaded"  # there is no such model, as the attempt says
        if engine is None:
            return "unloaded"
        _found[_name(target)] = engine
    if engine.state == "ended":
        return "unloaded" if engine.may_be_replaced else "loaded"
    if engine.state == "loading":
        return "loading"
    return "unloaded" if images and engine.lacks_images else "loaded"


def begin(target: Target, *, images: bool = False) -> Future[None] | None:
    """Load the model of a target; return what ends when that has, in whatever way. None: there is nothing to load.

    Args:
        target: The target.
        images: Whether to load the part that reads images as well.
    """
    try:
        key = engine_key(target)
        with engines.LOCK:  # so that the engine is not unloaded between the two
            engine = get_engine(key, settings=target.mlx, memory_limit=target.memory_limit)
            return _end_of_loading(engine, target, images=images)
    except (ConfigurationError, EngineError):
        return None  # as the attempt says


def preload(target: Target) -> Preloaded:
    """Load the model of a target if that needs no other to be unloaded, and wait until it is loaded.

    Raises:
        LoadError: It could not be loaded, or there is no memory for it.
    """
    try:
        key = engine_key(target)
        before = find_engine(key) is not None and state_of(target) != "unloaded"
        engine = get_engine(key, settings=target.mlx, memory_limit=target.memory_limit, unload_others=False)
    except (ConfigurationError, EngineError) as error:
        raise LoadError(str(error)) from None
    _end_of_loading(engine, target, images="images" in target.features).result()
    if engine.ended is not None:
        raise LoadError(str(engine.ended))
    return Preloaded(before=before)


def unload(target: Target) -> None:
    """Unload the model of a target, unless requests wait for it or use it."""
    engines.unload(engine_key(target))


def _name(target: Target) -> Hashable:
    return (target.model, target.mlx.adapter_path, target.mlx.draft_model)


def _end_of_loading(engine: Engine, target: Target, *, images: bool) -> Future[None]:
    _found[_name(target)] = engine
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()  # a caller that is cancelled does not cancel the loading
    if images:  # a request, so that the model stays; where that is refused, the attempt says so
        engine.submit(LoadImages(), lambda _: future.set_result(None))
    else:
        engine.when_loaded(lambda: future.set_result(None))
    return future
