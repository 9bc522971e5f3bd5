"""Folders of models that read images: which ones mlx-vlm runs, and what they lack.

mlx-lm runs the text part of many such models: requests without images. Where it does not know the type, mlx-vlm runs
those too (``vision_loading``). Without mlx-vlm, images are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from unified_llm._backends.mlx.model_files import read_text
from unified_llm._backends.mlx.model_types import known_types

INSTALL: Final = "pip install 'unified-llm[vision]'"
"""The command that an error message recommends where mlx-vlm is missing."""

# Fields of config.json that describe how an image becomes tokens: those of transformers, and of older models.
_IMAGE_FIELDS: Final = ("vision_config", "vision_cfg", "mm_vision_tower", "img_processor")
# ``{"AutoProcessor": "module.Class"}``, or ``repository--module.Class``, which would be downloaded.
_CLASS_MAP: Final = re.compile(r'"auto_map"\s*:\s*\{([^}]*)\}')
# Files that say which classes read texts and images.
_CLASS_FILES: Final = (
    "config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json", "image_processor_config.json",
)  # fmt: skip


def reads_images(config: Mapping[str, Any]) -> bool:
    """Return whether a configuration is that of a model with a part for images, whatever is installed."""
    return any(config.get(name) for name in _IMAGE_FIELDS)


def runs_by_mlx_vlm(config: Mapping[str, Any]) -> bool:
    """Return whether mlx-vlm runs the model: it has a part for images, and is of a type that mlx-vlm knows."""
    return reads_images(config) and _is_known(config, "mlx_vlm")


def runs_by_mlx_vlm_alone(config: Mapping[str, Any]) -> bool:
    """Return whether mlx-vlm alone runs the model: mlx-lm does not know its type."""
    return runs_by_mlx_vlm(config) and not _is_known(config, "mlx_lm")


def lacking_package(config: Mapping[str, Any]) -> str | None:
    """Return why the model cannot run for want of mlx-vlm, and what to do; None if it can."""
    if not reads_images(config) or known_types("mlx_vlm") or _is_known(config, "mlx_lm"):
        return None
    return f"mlx-vlm is not installed, which runs models that read images: run {INSTALL}"


def _is_known(config: Mapping[str, Any], package: str) -> bool:
    kind = config.get("model_type")
    return isinstance(kind, str) and kind in known_types(package)


def names_own_code(folder: Path) -> str | None:
    """Return the file that would make the libraries import Python code that came with the model; None for no such file.

    Some readers of images in mlx-vlm load the tokenizer with ``trust_remote_code=True`` whatever they are asked, so the
    files are checked before. ``auto_map`` does no harm where the code that it names does not exist.
    """
    has_code = any(folder.glob("**/*.py"))
    for name in _CLASS_FILES:
        maps = _CLASS_MAP.findall(read_text(folder / name))  # what cannot be read is refused when it is loaded
        if any("." in classes and (has_code or "--" in classes) for classes in maps):
            return name
    return None
