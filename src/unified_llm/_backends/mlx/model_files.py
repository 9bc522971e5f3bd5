"""The files of a model: read within bounds, and checked before a library reads them.

Nothing that can run code is ever read: weights are safetensors alone, never pickles such as ``*.bin`` and ``*.pt``, and
no Python of a folder is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, cast

from unified_llm._backends.mlx.engine_types import UnloadableError
from unified_llm._backends.mlx.model_paths import check_inside, file_of_model
from unified_llm._formats.json_values import is_object
from unified_llm._lib.bounded_json import MAX_STRUCTURE, JSONError, parse_lenient

INDEX: Final = "model.safetensors.index.json"
FURTHER_TEMPLATES: Final = "additional_chat_templates"
"""A folder that transformers reads as well (huggingface.co/docs/transformers/chat_templating)."""

_MIB: Final = 1 << 20
# Bytes. The largest files of models that are in use have about a tenth of these.
_LARGEST_JSON: Final = 32 * _MIB
_LARGEST_TEXT: Final = 256 * _MIB  # tokenizer.json, vocabularies, templates: libraries read them whole
_LARGEST_HEADER: Final = 100 * _MIB  # github.com/huggingface/safetensors: the format's own limit
_MOST_PARTS: Final = 4_000_000  # braces, brackets and commas in a header of weights, or in a tokenizer
# What libraries read of a folder.
_READ: Final = frozenset({".json", ".jinja", ".model", ".safetensors", ".tiktoken", ".txt"})
# JSON files that libraries parse without a bound of their depth.
_PARSED: Final = (
    "config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.json", "adapter_config.json", INDEX,
)  # fmt: skip
# Bits of a number of each type of a safetensors file.
_BITS: Final = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16,
    "U16": 16, "I8": 8, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6,
    "F4": 4,
}  # fmt: skip


def check_files(folder: Path) -> None:
    """Check the files of a model before a library reads them: where they are, their sizes, the weights' headers.

    Raises:
        UnloadableError: A file leads elsewhere, is too large, or is damaged.
    """
    paths = _files_to_read(folder)
    check_inside(folder, paths)
    for path in paths:
        if path.exists() and not path.is_file():  # whoever opens a pipe waits, and a device has no end
            raise UnloadableError(f"{path} is no regular file: put the file of the model in its place.")
        if path.suffix == ".safetensors":
            read_tensors(path)
        elif path.name in _PARSED:
            read_json(path)
        elif _size(path) > _LARGEST_TEXT:
            raise UnloadableError(f"{path} is larger than {_LARGEST_TEXT // _MIB} MiB, which no tokenizer needs.")
    if missing := missing_weights(folder):
        raise UnloadableError(
            f"The weights of the model in {folder} are not whole: {missing} is missing. Finish its download, or copy "
            "the file there."
        )


def _files_to_read(folder: Path) -> list[Path]:
    try:
        paths = [path for path in folder.iterdir() if path.suffix in _READ and not path.is_dir()]
        return sorted([*paths, *(folder / FURTHER_TEMPLATES).glob("*.jinja")])
    except OSError:
        return []


def weight_files(folder: Path) -> list[Path]:
    """List the files of weights, one or several."""
    return sorted(folder.glob("model*.safetensors"))


def missing_weights(folder: Path) -> str | None:
    """Return a file of weights that the index names and that is not there; None if all are.

    Raises:
        UnloadableError: The index cannot be read, or names a file that is not in the folder.
    """
    named = read_object(folder / INDEX).get("weight_map")
    names = sorted({str(name) for name in named.values()}) if is_object(named) else []
    return next((name for name in names if not file_of_model(folder, name).is_file()), None)


def has_all_weights(folder: Path) -> bool:
    """Return whether all files of the weights are there; those of a download that was cut off are not.

    Raises:
        UnloadableError: The index cannot be read, or names a file that is not in the folder.
    """
    return any(path.is_file() for path in weight_files(folder)) and missing_weights(folder) is None


def weights_size(folder: Path) -> int:
    """Return the bytes of the weights of a model, as its files have them."""
    return sum(map(_size, weight_files(folder)))


def _is_shape(shape: list[Any], kind: str, size: int) -> bool:
    """Return whether a tensor of a shape has so many bytes; True for types that are not known here."""
    if not all(type(length) is int and length >= 0 for length in shape):
        return False
    bits = _BITS.get(kind)
    return bits is None or prod(shape) * bits == size * 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array in a file of weights.

    Attributes:
        name: Its name.
        kind: The type of its numbers, such as ``BF16``.
        size: Its bytes.
    """

    name: str
    kind: str
    size: int


def read_tensors(path: Path) -> list[Tensor]:
    """Read which tensors a file of weights has, and check that they are all there.

    The layout: the length of the header in 8 bytes, the header as JSON, the numbers of all tensors
    (github.com/huggingface/safetensors).

    Raises:
        UnloadableError: The file is not as its header says.
    """
    problem = "cannot be read"
    try:
        if not path.is_file():
            raise FileNotFoundError
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            problem = "is no whole safetensors file"
            length = int.from_bytes(start, "little") if len(start) == 8 else size
            if length <= min(size - 8, _LARGEST_HEADER):
                header = parse_lenient(file.read(length), max_structure=_MOST_PARTS)
                return list(_tensors_in(header, size - 8 - length))
    except (OSError, ValueError):
        pass
    raise UnloadableError(f"{path} {problem}: download the model again, or use another one.")


def _tensors_in(header: object, size: int) -> Iterator[Tensor]:
    """Yield the tensors of a header.

    Raises:
        ValueError: One is not within so many bytes, or not as large as its shape says.
    """
    if not is_object(header):
        raise ValueError("no object")
    for name, tensor in header.items():
        match tensor:
            case _ if name == "__metadata__":
                continue
            case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(begin), int(end)]}:
                if not (0 <= begin <= end <= size and _is_shape(shape, kind, end - begin)):
                    raise ValueError("a tensor that is not there")
                yield Tensor(name, kind, end - begin)
            case _:
                raise ValueError("no tensor")


def read_text(path: Path, limit: int = _LARGEST_JSON) -> str:
    """Return the text of a file; empty if there is no such file, it has more bytes than that, or is not text."""
    try:
        return path.read_text(encoding="utf-8") if path.is_file() and _size(path) <= limit else ""
    except (OSError, ValueError):
        return ""


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one if there is no such file.

    Raises:
        UnloadableError: The file contains something else.
    """
    content = read_json(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UnloadableError(f"{path} does not hold a JSON object: check that the file is whole.")
    return cast("dict[str, Any]", content)


def read_tokenizer(folder: Path) -> dict[str, Any]:
    """Read ``tokenizer.json``. Its vocabulary and its merges of tokens have more parts than other JSON files.

    Raises:
        UnloadableError: As for ``read_object``.
    """
    content = _read(folder / "tokenizer.json", _LARGEST_TEXT, _MOST_PARTS)
    return content if is_object(content) else {}


def read_json(path: Path) -> object:
    """Read a JSON file; None if there is none.

    Raises:
        UnloadableError: It cannot be read, or is larger or deeper than any such file.
    """
    return _read(path, _LARGEST_JSON, MAX_STRUCTURE)


def _read(path: Path, largest: int, max_structure: int) -> object:
    if not path.is_file():
        return None
    try:
        if _size(path) > largest:
            raise UnloadableError(f"{path} is larger than {largest // _MIB} MiB, which no such file needs.")
        return cast("object", parse_lenient(path.read_bytes(), allow_nan=True, max_structure=max_structure))
    except (OSError, JSONError) as error:
        raise UnloadableError(f"{path} cannot be read as JSON: check that the file is whole.") from error


def fingerprint(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return names, sizes and times of the files in a folder: equal ones mean that nothing was replaced."""
    try:
        with os.scandir(folder) as entries:
            stats = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


def refuse_change(folder: Path, files: tuple[tuple[str, int, int], ...]) -> None:
    """Refuse a model whose files were replaced while it was loaded: its parts may not belong together.

    Args:
        folder: Its folder.
        files: The ``fingerprint`` before.

    Raises:
        UnloadableError: It was.
    """
    if fingerprint(folder) != files:
        raise UnloadableError(
            f"The files in {folder} changed while the model was loaded: send the request again once they are all there."
        )


def describe_quantization(config: Mapping[str, Any]) -> str | None:
    """Return how the weights are quantized, such as ``4-bit, group size 64``; None where they are not.

    The field is that of ``mlx_lm.convert`` (bits, group_size, mode), or that of another program (quant_method).
    """
    for name in ("quantization", "quantization_config"):
        if is_object(fields := config.get(name)):
            method = fields.get("mode") or fields.get("quant_method")
            parts = [method] if isinstance(method, str) and method != "affine" else []
            parts += [f"{bits}-bit"] if isinstance(bits := fields.get("bits"), int) else []
            parts += [f"group size {size}"] if isinstance(size := fields.get("group_size"), int) else []
            return ", ".join(parts) or None
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
