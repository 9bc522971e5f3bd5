"""Context windows that servers have named, by target: in refusals, in model lists, in descriptions of loaded models.

Kept until the process ends, ``reset_health()``, or a newer number.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from unified_llm._core.target import Target
from unified_llm._lib.bounded_dict import BoundedDict
from unified_llm._lib.fork_safe import make_lock
from unified_llm._lib.swappable import Swappable
from unified_llm.types.responses import ModelInfo

_MOST: Final = 4096  # targets that are remembered
# The tag that Ollama adds to the name of a model that has none.
_DEFAULT_TAG: Final = ":latest"


class LearnedWindows:
    """Context windows in tokens, by the target's ``health_key``."""

    def __init__(self) -> None:
        self._lock = make_lock()
        self._windows: BoundedDict[Hashable, int] = BoundedDict(_MOST)

    def get(self, target: Target) -> int | None:
        """Return the window that the target's server named, or None."""
        return self._windows.get(target.health_key)

    def put(self, target: Target, window: int) -> None:
        """Remember a window."""
        with self._lock:
            self._windows.put(target.health_key, window)

    def reset(self) -> None:
        """Forget every window."""
        with self._lock:
            self._windows.clear()


_windows: Final = Swappable(LearnedWindows)
current, apart = _windows.current, _windows.apart


def window_of(target: Target) -> int | None:
    """Return the context window of a target: the user's declaration, else its server's number, else the table's."""
    if target.window_declared:
        return target.context_window
    return current().get(target) or target.context_window


def learn(target: Target, window: int) -> None:
    """Remember the window that a target's refusal of a long prompt named."""
    current().put(target, window)


def learn_from_list(models: Sequence[ModelInfo], targets: Iterable[Target]) -> None:
    """Remember the windows in a model list for the targets of that server.

    A server whose list has a single model serves it under any name (llama.cpp), so its window is that of every target;
    Ollama loads each model by its name.
    """
    windows = {info.id.removesuffix(_DEFAULT_TAG): info.context_window for info in models}
    only = models[0].context_window if len(models) == 1 else None
    for target in targets:
        window = windows.get(target.model.removesuffix(_DEFAULT_TAG))
        if window is None and not target.quirks.default_window:
            window = only
        if window:
            current().put(target, window)
