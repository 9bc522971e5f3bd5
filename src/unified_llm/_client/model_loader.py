"""Loads the models of targets: those of MLX in this process, and those on standby that a server loads on request."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from unified_llm._client.first_use import load_for
from unified_llm._core import runtime
from unified_llm._core.model_loading import ModelState, Preloaded
from unified_llm._core.seconds import FOREVER
from unified_llm._core.target import Target
from unified_llm._state import process_health, standby
from unified_llm.types.content import ImagePart
from unified_llm.types.requests import LLMRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unified_llm._client.model_servers import ModelServers
    from unified_llm._core.model_loading import ModelLoader

_MLX: Final = "unified_llm._backends.mlx.model_loads"


class LocalModels:
    """Whether models are in memory, and how to load them: see ``ModelLoader`` and ``Preloader``.

    Args:
        images: Whether calls need the parts of models that read images.
    """

    def __init__(self, *, images: bool = False) -> None:
        self._images = images
        self._http: ModelServers | None = None

    # For calls

    def state(self, target: Target) -> ModelState:
        """Return whether a model is in memory. What a server does by itself is not known, and not waited for."""
        if target.format == "mlx":
            return "unloaded" if _MLX not in sys.modules else _mlx().state_of(target, images=self._images)
        known = standby.current().find(target)
        return "loading" if known is not None and known.state == "loading" else "loaded"

    # A model whose loading in advance ended, since others would have had to be unloaded for it, is loaded once more: a
    # call may do that.

    def wait(self, target: Target, until: float) -> bool:
        """Load a model, and wait for it."""
        ended = self._wait_once(target, until)
        return self._wait_once(target, until) if ended and self.state(target) == "unloaded" else ended

    async def wait_async(self, target: Target, until: float) -> bool:
        """Do the same for async callers."""
        ended = await self._wait_once_async(target, until)
        return await self._wait_once_async(target, until) if ended and self.state(target) == "unloaded" else ended

    def _wait_once(self, target: Target, until: float) -> bool:
        future = _mlx().begin(target, images=self._images) if target.format == "mlx" else _loading_of(target)
        if future is None:
            return True
        left = until - runtime.current().now()
        try:
            future.result(min(max(0.0, left), threading.TIMEOUT_MAX))
        except TimeoutError:
            return False
        return True

    async def _wait_once_async(self, target: Target, until: float) -> bool:
        """Do the same for async callers. Files are read in a thread."""
        import asyncio  # which sync callers do without

        if target.format != "mlx":
            future = _loading_of(target)
        else:
            if loading := load_for(target):
                await loading
            future = await asyncio.to_thread(_mlx().begin, target, images=self._images)
        if future is None:
            return True
        left = until - runtime.current().now()
        done, _ = await asyncio.wait([asyncio.wrap_future(future)], timeout=None if left == FOREVER else max(0.0, left))
        return bool(done)

    # For standby

    def preload(self, target: Target) -> Preloaded:
        """Load a model in advance."""
        if target.format == "mlx":
            loaded: Preloaded = _mlx().preload(target)
            return loaded
        return self._servers().preload(target)

    def unload(self, target: Target, loaded: Preloaded) -> None:
        """Unload what ``preload`` has loaded."""
        if target.format == "mlx":
            _mlx().unload(target)
        else:
            self._servers().unload(target, loaded)

    def is_gone(self, target: Target) -> bool:
        """Return whether a model was unloaded meanwhile: a server that does so by itself is not asked."""
        return target.format == "mlx" and self.state(target) == "unloaded"

    def unloads_unused(self, target: Target) -> bool:
        """Return whether a model is unloaded by itself some time after its last request."""
        return target.format == "mlx" or self._servers().unloads_unused(target)

    def seconds_kept(self, target: Target) -> float:
        """Return how long a model stays loaded without a request."""
        return FOREVER if target.format == "mlx" else self._servers().seconds_kept(target)

    def _servers(self) -> ModelServers:
        if self._http is None:
            from unified_llm._client.model_servers import ModelServers

            self._http = ModelServers()
        return self._http


LOCAL_MODELS: Final = LocalModels()
"""The models of this process. It keeps nothing of a client."""
_WITH_IMAGES: Final = LocalModels(images=True)


def loader_for(targets: Iterable[Target], request: object) -> ModelLoader | None:
    """Return what loads the models of a call's targets; None where there is none to load, or no real target."""
    if not any(target.loads_model for target in targets):
        return None
    using = runtime.current()
    if using.loader is not None:
        return using.loader
    if using.exchange is not None or using.aexchange is not None:
        return None
    return _WITH_IMAGES if _has_images(request) else LOCAL_MODELS


def _has_images(request: object) -> bool:
    if not isinstance(request, LLMRequest):
        return False
    return any(
        isinstance(part, ImagePart)
        for message in request.messages
        if not isinstance(message.content, str)
        for part in message.content
    )


def watch_standby(chain: Sequence[Target]) -> object:
    """Load the models of a chain that are on standby when its first target is in trouble, as long as this is kept."""
    if all(target.standby is None for target in chain):
        return None
    using = runtime.current()
    if using.preloader is None and (using.exchange is not None or using.aexchange is not None):
        return None  # scripted targets have no models
    return standby.current().watch(chain, using.preloader or LOCAL_MODELS, process_health.current())


def _mlx() -> Any:  # typed by its functions; it is imported with the first target of MLX
    from unified_llm._backends.mlx import model_loads

    return model_loads


def _loading_of(target: Target) -> Future[None] | None:
    """Return what ends when the server of a target has loaded its model; None where it is not being loaded."""
    known = standby.current().find(target)
    return known.loading if known is not None else None
