"""Targets of MLX: whether this machine can run the model, and what its folder says about it."""

from __future__ import annotations

from unified_llm._core.features import Feature
from unified_llm.exceptions import ConfigurationError


def check_mlx(model: str) -> str | None:
    """Return why MLX cannot be used here, or None.

    Raises:
        ConfigurationError: The folder of the model is missing, or holds no model that MLX can run.
    """
    from unified_llm._backends import mlx
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.exchange import resolve_folder

    if reason := mlx.unavailable_reason():
        return reason.rstrip(".")
    if reason := model_folder.find_problem(resolve_folder(model)):
        raise ConfigurationError(reason)
    return None


def mlx_is_impossible() -> bool:
    """Return whether this platform has no wheel of MLX."""
    from unified_llm._backends import mlx

    return not mlx.is_supported_platform()


def mlx_features(model: str) -> frozenset[Feature]:
    """Return what a model can do, by the files of its folder."""
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.exchange import resolve_folder

    return model_folder.read_features(resolve_folder(model))


def mlx_window(model: str) -> int | None:
    """Return the context window of a model in tokens, by its ``config.json``; None where that says nothing."""
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.exchange import resolve_folder

    return model_folder.read_window(resolve_folder(model))
