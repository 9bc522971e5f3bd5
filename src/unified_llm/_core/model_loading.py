"""Loading of the models of local targets: for calls that need one (``ModelLoader``), in advance (``Preloader``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from unified_llm._core.target import Target

ModelState: TypeAlias = Literal["unloaded", "loading", "loaded"]
"""Whether the model of a target is in memory. ``loaded`` as well where nothing is known, or where loading has failed:
a request is then sent, and its outcome shows more."""


class ModelLoader(Protocol):
    """Loads the models of targets, on behalf of calls that need them. It never raises for what a target does."""

    def state(self, target: Target) -> ModelState:
        """Return whether the model of a target is in memory, without waiting for anything."""
        ...

    def wait(self, target: Target, until: float) -> bool:
        """Load the model of a target, for sync callers; return False if that takes longer than until an instant.

        Loading goes on in the background where the caller stops waiting. A failure to load is an end as well: the
        attempt that follows returns it.
        """
        ...

    async def wait_async(self, target: Target, until: float) -> bool:
        """Do the same as ``wait``, for async callers."""
        ...


class LoadError(Exception):
    """A model could not be loaded in advance, or unloaded. The message has no key in it."""


@dataclass(frozen=True, slots=True)
class Preloaded:
    """A model that is in memory.

    Attributes:
        before: It was there, or was being loaded, before it was loaded in advance.
        instance: What its server calls it, where that is needed to unload it.
    """

    before: bool = False
    instance: str = ""


class Preloader(Protocol):
    """Loads and unloads models in the background. Its methods block; those of one target are called one at a time."""

    def preload(self, target: Target) -> Preloaded:
        """Load the model of a target, where that needs no other model to be unloaded; wait until it is loaded.

        Raises:
            LoadError: It could not be loaded.
        """
        ...

    def unload(self, target: Target, loaded: Preloaded) -> None:
        """Unload a model that ``preload`` has loaded, unless requests use it.

        Raises:
            LoadError: Its server refused.
        """
        ...

    def is_gone(self, target: Target) -> bool:
        """Return whether the model of a target is known to be in memory no more, without waiting for anything."""
        ...

    def unloads_unused(self, target: Target) -> bool:
        """Return whether a model leaves the memory by itself, some time after its last request."""
        ...

    def seconds_kept(self, target: Target) -> float:
        """Return after how many seconds without a request ``preload`` has to be called again; infinite for never."""
        ...


# Requests to the servers that load models on request.


@dataclass(frozen=True, slots=True)
class FindLoaded:
    """Ask whether the model of a target is loaded. The value of the response is ``Preloaded``, or None."""


@dataclass(frozen=True, slots=True)
class LoadModel:
    """Load the model of a target. The value of the response is ``Preloaded``.

    Attributes:
        embeds: It is a model for embeddings.
        keep: How long the server keeps it without a request, as Ollama writes durations (``30m``).
    """

    embeds: bool
    keep: str


@dataclass(frozen=True, slots=True)
class UnloadModel:
    """Unload a model. The value of the response is None.

    Attributes:
        instance: What the server called it when it was loaded.
    """

    instance: str
