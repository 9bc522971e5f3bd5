"""Folders of models that read images: which ones mlx-vlm runs, and what they lack.

mlx-lm runs the text part of many such models: requests without images. Where it does not know the type, mlx-vlm runs
those too (``vision_loading``). Without mlx-vlm, images are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm._backends.mlx.model_types import known_types

INSTALL: Final = "pip install 'unified-llm[vision]'"
"""The command that an error message recommends where mlx-vlm is missing."""

# Fields of config.json that describe how an image becomes tokens: those of transformers, and of older models.
_IMAGE_FIELDS: Final = ("vision_config", "vision_cfg", "mm_vision_tower", "img_processor")


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
