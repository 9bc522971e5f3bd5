"""Targets of MLX: whether this machine can run the model, and what its folder says about it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from unified_llm._core.features import CHAT, Feature
from unified_llm._core.mlx_config import MLXConfig
from unified_llm._core.target import Target
from unified_llm._lib.local_files import expand_home
from unified_llm.exceptions import ConfigurationError


def default_mlx_model() -> str:
    """Return the folder in ``MLX_MODEL_PATH``, where that holds one model; empty where there is none to choose."""
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.model_paths import configured_folders

    models: list[Path] = []
    for folder in configured_folders():
        models += [folder] if model_folder.is_model(folder) else model_folder.models_below(folder)
    return str(models[0]) if len(models) == 1 else ""


def model_in(base_url: str, model: str) -> str:
    """Return the folder of a model whose ``base_url`` is a folder: that one, or the one of this name below it.

    Raises:
        ConfigurationError: There is no such folder.
    """
    text = unquote(urlsplit(base_url).path) if base_url.lower().startswith("file:") else base_url
    folder = expand_home(text)
    if not model or model == folder.name:
        return str(folder)
    if (below := folder / model).is_dir():
        return str(below)
    raise ConfigurationError(
        "There is no folder of the model's name below the folder in base_url=: leave out model=, or write the path of "
        "the model as model= and leave out base_url=."
    )


def fetch_mlx(model: str, *, may_download: bool) -> str | None:
    """Download the model of a target with ``download=True`` that is not on this machine; return why it is not here.

    Args:
        model: The model, or a draft model; anything but a name of the hub is left to ``check_mlx``.
        may_download: A client is being made. A call never waits for a download.
    """
    from unified_llm._backends import mlx
    from unified_llm._backends.mlx.hub_cache import read_hub_name
    from unified_llm._backends.mlx.model_names import find_folder, pull_command

    named = read_hub_name(model) if "/" in model else None
    if named is None or mlx.unavailable_reason() or find_folder(model) is not None:
        return None
    if not may_download:
        return f"{named} is not on this machine, and a call downloads nothing: run {pull_command(model)}"
    from unified_llm._backends.mlx.download import download_model

    try:
        download_model(model)
    except ConfigurationError as error:
        return str(error).rstrip(".")
    return None


def check_mlx(model: str) -> str | None:
    """Return why MLX cannot be used here, or None.

    Raises:
        ConfigurationError: The folder of the model is missing, or holds no model that MLX can run.
    """
    from unified_llm._backends import mlx
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.model_names import resolve_folder

    if reason := mlx.unavailable_reason():
        return reason.rstrip(".")
    if not model:  # until the call names one
        return None
    folder = resolve_folder(model)
    if reason := model_folder.find_problem(folder):
        raise ConfigurationError(reason)
    return model_folder.find_lack(folder)


def check_mlx_parts(settings: MLXConfig) -> None:
    """Look for the adapter and the draft model of a target, where MLX runs.

    Raises:
        ConfigurationError: There is no such folder.
    """
    if settings.adapter_path is None and settings.draft_model is None:
        return
    from unified_llm._backends import mlx
    from unified_llm._backends.mlx.model_names import resolve_folder

    if mlx.unavailable_reason():
        return
    if settings.adapter_path is not None and not expand_home(settings.adapter_path).is_dir():
        raise ConfigurationError(f"There is no folder of a LoRA adapter at mlx.adapter_path {settings.adapter_path!r}.")
    if settings.draft_model is not None:
        try:
            resolve_folder(settings.draft_model)
        except ConfigurationError as error:
            raise ConfigurationError(f"mlx.draft_model: {error}") from None


def check_mlx_options(target: Target) -> None:
    """Refuse further fields of a request, in the configuration of a target, that MLX would ignore.

    Raises:
        ConfigurationError: There is one, or its value cannot be right.
    """
    from unified_llm._backends.mlx.request_options import find_mistake

    if mistake := find_mistake(target.extra_body, target):
        raise ConfigurationError(f"extra_body: {mistake}")


def mlx_is_impossible() -> bool:
    """Return whether there is no wheel of MLX for this machine."""
    from unified_llm._backends import mlx

    return not mlx.is_supported_platform()


def mlx_features(model: str) -> frozenset[Feature]:
    """Return what a model can do, by the files of its folder."""
    if not model:
        return CHAT
    from unified_llm._backends.mlx.model_features import read_features
    from unified_llm._backends.mlx.model_names import resolve_folder

    return read_features(resolve_folder(model))


def mlx_window(model: str) -> int | None:
    """Return the context window of a model in tokens, by its ``config.json``; None where that says nothing."""
    if not model:
        return None
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.model_names import resolve_folder

    return model_folder.read_window(resolve_folder(model))
