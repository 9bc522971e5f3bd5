"""How much memory a model takes: estimated from its files before it is loaded, and measured afterwards.

A safetensors file begins with the types and places of its tensors (huggingface.co/docs/safetensors). On a processor
weights are converted to single precision when they are loaded, and quantized ones are unpacked where there is room (see
``loading``): half precision takes twice what its file does, and four bits eight times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from unified_llm._backends.mlx.engine_types import EngineKey, UnloadableError
from unified_llm._backends.mlx.model_files import Tensor, read_object, read_tensors, weight_files

if TYPE_CHECKING:
    from mlx.nn.layers.base import Module  # pyright: ignore[reportMissingTypeStubs]

_FLOATS: Final[Mapping[str, int]] = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "F8_E4M3": 1, "F8_E5M2": 1}
_SINGLE: Final = 4  # bytes of a number in single precision
_PACKED: Final = "U32"  # quantized weights, several in each number of 32 bits
_SCALES: Final = (".scales", ".biases")


@dataclass(frozen=True, slots=True)
class SizeEstimate:
    """Estimate of the bytes that a model takes in memory.

    Attributes:
        size: The bytes that it takes as it is loaded where there is room.
        packed: The bytes where quantized weights stay as they are; the same as ``size`` where there are none.
    """

    size: int
    packed: int


def estimate_size(key: EngineKey, *, on_gpu: bool) -> SizeEstimate:
    """Estimate what a model takes with its adapter and its draft model; 0 for files that cannot be read.

    Args:
        key: The model.
        on_gpu: Whether it is loaded for a GPU, where weights stay as they are in the files.
    """
    parts = [_estimate_folder(folder, on_gpu=on_gpu) for folder in (key.folder, key.draft) if folder is not None]
    adapter = 0 if key.adapter is None else _file_size(key.adapter / "adapters.safetensors")
    return SizeEstimate(sum(part.size for part in parts) + adapter, sum(part.packed for part in parts) + adapter)


def measure_size(*modules: Module, beside: Module | None = None) -> int:
    """Return the bytes of the weights of networks; called in their engine's thread.

    Args:
        *modules: The networks.
        beside: A network whose weights are not counted where they are shared.
    """
    shared = {id(weight) for weight in _weights(beside)} if beside is not None else set[int]()
    return sum(int(weight.nbytes) for module in modules for weight in _weights(module) if id(weight) not in shared)


def _weights(module: Module) -> list[Any]:
    from mlx.utils import tree_flatten

    flatten: Any = tree_flatten
    network: Any = module
    return [weight for _, weight in flatten(network.parameters())]


def _estimate_folder(folder: Path, *, on_gpu: bool) -> SizeEstimate:
    bits = _bits(folder)
    size = packed = 0
    for path in weight_files(folder):
        tensors = _tensors(path)
        if on_gpu or not tensors:
            size, packed = size + _file_size(path), packed + _file_size(path)
        for tensor in () if on_gpu else tensors:
            single = tensor.size * _SINGLE // _FLOATS.get(tensor.kind, _SINGLE)
            packed += single
            if bits and tensor.kind == _PACKED:
                size += tensor.size * 32 // bits
            elif not (bits and tensor.name.endswith(_SCALES)):  # they are gone once the weights are unpacked
                size += single
    return SizeEstimate(size, packed)


def _bits(folder: Path) -> int | None:
    """Return how many bits a quantized weight has; None where the model is not quantized."""
    quantization = read_object(folder / "config.json").get("quantization")
    bits = cast("dict[str, Any]", quantization).get("bits") if isinstance(quantization, dict) else None
    return bits if isinstance(bits, int) and 1 <= bits <= 32 else None


def _tensors(path: Path) -> list[Tensor]:
    """Return the tensors in a file; none if it is damaged, which its loading will say."""
    try:
        return read_tensors(path)
    except UnloadableError:
        return []


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
