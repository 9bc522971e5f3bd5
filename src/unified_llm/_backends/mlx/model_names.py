"""The folder that a model's name stands for: ``mlx/demo``, a path, a folder of ``MLX_MODEL_PATH``, a hub's name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from unified_llm._backends import mlx
from unified_llm._backends.mlx.hub_cache import find_snapshot, is_hub_id
from unified_llm._backends.mlx.model_folder import find_configured
from unified_llm._core.redaction import quoted
from unified_llm._lib.local_files import expand_home
from unified_llm.exceptions import ConfigurationError

_DEMO: Final = "demo"


def resolve_folder(model: str) -> Path:
    """Return the folder of a model's name.

    Raises:
        ConfigurationError: There is no such folder.
    """
    if model == _DEMO:
        return mlx.demo_folder()
    folder = expand_home(model)
    if folder.is_dir():
        return folder
    if (configured := find_configured(model)) is not None:
        return configured
    if (snapshot := find_snapshot(model)) is not None:
        return snapshot
    raise ConfigurationError(_not_found_message(model, folder))


def _not_found_message(model: str, folder: Path) -> str:
    # Quoted only where the name is none that could be a key.
    shown = repr(str(folder.absolute())) if quoted(model) == repr(model) else quoted(model)
    problem = f"There is no such folder for mlx/: {shown}; and no model of that name in the local Hugging Face cache."
    if not is_hub_id(model) or quoted(model) != repr(model):
        return f"{problem} Pass the path of a folder in the Hugging Face layout: config.json, tokenizer and weights."
    name = model.partition("/")[2]
    return (
        f"{problem} If it is a model of the Hugging Face hub, run hf download {model} --local-dir {name} "
        f"and pass mlx/{name}, or the path of that folder."
    )
