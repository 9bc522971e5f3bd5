"""The memory that the models of this process may take together, and which of them are unloaded for another one.

A model that is to be loaded fits where the sizes of the models that stay, and its own, are at most the limit::

    limit  |---------------------------------------------------|
           | in use | in use |  idle (newer)  |  idle (oldest) |
                                                ^ unloaded first, then the newer one; never one that is in use
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from unified_llm._backends.mlx.engine_types import EngineError
from unified_llm._lib.byte_sizes import show_bytes
from unified_llm._lib.system_memory import available_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

# Measured once, when the first client with a model of MLX is used: models that are loaded later do not lower the limit.
_AVAILABLE: Final = available_memory() if sys.platform == "linux" else None
# Where the system does not say: what the smallest Macs with Apple silicon have.
_UNKNOWN: Final = 8 * 10**9
_HINT: Final = "memory_limit"

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Held(Generic[Key]):
    """A model in memory, as far as it matters here.

    Attributes:
        key: Which one.
        size: The bytes that it takes.
        last_used: The instant at which a request came or ended last.
        in_use: Requests wait for it or run, or it is being loaded: it cannot be unloaded.
    """

    key: Key
    size: int
    last_used: float
    in_use: bool


def default_limit() -> int:
    """Return the bytes that models may take together where nothing else is set; called in an engine's thread.

    That is half of the memory that was available when this module was imported; on a Mac the working set that Metal
    recommends for its GPU; with CUDA the memory of the device.
    """
    import mlx.core as mx

    device = cast("Mapping[str, Any]", mx.device_info()) if mx.metal.is_available() or mx.cuda.is_available() else {}
    for name in ("max_recommended_working_set_size", "total_memory", "memory_size"):
        if isinstance(size := device.get(name), int) and size > 0:
            return size
    return _UNKNOWN // 2 if _AVAILABLE is None else max(1, _AVAILABLE // 2)


def active_memory() -> int:
    """Return the bytes that all arrays of this process take, those of running requests included."""
    import mlx.core as mx

    return mx.get_active_memory()


def prefix_share(room: int | None, weights: int, most: int) -> int:
    """Return the bytes that a prefix cache may take: at most an eighth of the room, and what the weights leave of it.

    Args:
        room: The bytes that the model may take; None for no limit.
        weights: The bytes that its weights take, or will take.
        most: The bytes where there is no limit.
    """
    return most if room is None else max(0, min(room // 8, room - weights))


def no_room_for_images(folder: Path, size: int, room: int) -> str:
    """Write the error message for a model whose part that reads images does not fit beside its other weights."""
    return (
        f"The part of the model in {folder} that reads images takes {show_bytes(size)} of memory, and {_HINT} leaves "
        f"{show_bytes(max(0, room))}: use a smaller model, or raise {_HINT}; texts alone are answered."
    )


def choose_unloads(
    held: Sequence[Held[Key]], folder: Path, size: int, limit: int, *, may_unload: bool = True
) -> list[Key]:
    """Choose which models are unloaded so that one more fits: the least recently used first, and no more than needed.

    Args:
        held: The models in memory.
        folder: The folder of the one to load, for messages.
        size: The bytes that it takes.
        limit: The bytes that all may take together.
        may_unload: Whether others may be unloaded for it.

    Raises:
        EngineError: It does not fit: alone (``unsupported``), or beside those that are in use (``conflict``).
    """
    if size > limit:
        message = (
            f"The model in {folder} takes about {show_bytes(size)} of memory, and {_HINT} allows {show_bytes(limit)}: "
            f"use a smaller model, or one with fewer bits, or raise {_HINT}."
        )
        raise EngineError("unsupported", message, reason="its model does not fit into the memory limit")
    used = sum(model.size for model in held)
    chosen: list[Key] = []
    idle = sorted((model for model in held if not model.in_use), key=lambda model: model.last_used)
    while used + size > limit and idle and may_unload:
        oldest = idle.pop(0)
        chosen.append(oldest.key)
        used -= oldest.size
    if used + size > limit:
        message = (
            f"The model in {folder} takes about {show_bytes(size)} of memory, and other models take {show_bytes(used)} "
            f"of the {show_bytes(limit)} that {_HINT} allows: try again when their requests have ended, or raise "
            f"{_HINT}."
        )
        raise EngineError("conflict", message)
    return chosen
