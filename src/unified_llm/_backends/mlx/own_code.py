"""Python code that came with a model: found before a library reads the folder, and never run.

What would make a library import it::

    config.json            model_file             mlx-lm and mlx-vlm import the file
    tokenizer_config.json  auto_map               transformers imports the class of the tokenizer
    *config.json           auto_map,              transformers imports the classes that read images, where it is told to
                           custom_pipelines       trust them; some parts of mlx-vlm do so whatever they are asked

Configurations may have those names in any object within them. ``auto_map`` of a model or a processor does no harm where
the code is not there: mlx-vlm has classes of its own for most of these models.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from unified_llm._backends.mlx.model_files import read_json
from unified_llm._formats.json_values import is_object

_MODEL_FILE: Final = "model_file"
_CLASS_MAPS: Final = ("auto_map", "custom_pipelines")
_NEEDED: Final = {"config.json": _MODEL_FILE, "tokenizer_config.json": "auto_map"}
_CODE: Final = (".py", ".pyc", ".so")


def find_own_code(folder: Path) -> str | None:
    """Return the configuration that would make a library import Python code; None where there is none.

    Raises:
        UnloadableError: A configuration cannot be read.
    """
    for path in _configurations(folder):
        content = read_json(path)
        if (name := _NEEDED.get(path.name)) and next(_values_of((name,), content), None) is not None:
            return path.name
        classes = [text for value in _values_of(_CLASS_MAPS, content) for text in _texts_in(value) if "." in text]
        # ``repository--module.Class`` would be downloaded; a module may be in another folder.
        if any(mark in text for text in classes for mark in ("--", "/", "\\")) or (classes and _has_code(folder)):
            return path.name
    return None


def _configurations(folder: Path) -> list[Path]:
    """Return the files of settings: those of the model, its tokenizer, its processors, and of parts in folders."""
    return sorted(path for path in (*folder.glob("*config.json"), *folder.glob("*/*config.json")) if path.is_file())


def _values_of(names: tuple[str, ...], value: object) -> Iterator[Any]:
    """Yield what has one of these names, however deep; the depth is bounded by what reads the file."""
    if is_object(value):
        for name, inner in value.items():
            if name in names and inner is not None:
                yield inner
            yield from _values_of(names, inner)
    elif isinstance(value, list):
        items: list[Any] = value
        for item in items:
            yield from _values_of(names, item)


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_object(value):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, list):
        items: list[Any] = value
        for item in items:
            yield from _texts_in(item)


def _has_code(folder: Path) -> bool:
    """Return whether there is Python code in a folder; what a link to a folder holds is not looked at: it may be."""
    return any(
        any(name.lower().endswith(_CODE) for name in files) or any(Path(parent, name).is_symlink() for name in folders)
        for parent, folders, files in os.walk(folder)
    )
