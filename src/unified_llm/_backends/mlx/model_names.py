"""The folder that a model's name stands for: ``mlx/demo``, a path, a folder of ``MLX_MODEL_PATH``, a hub's name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from unified_llm._backends import mlx
from unified_llm._backends.mlx.hub_cache import find_snapshot, has_part_of, read_hub_name
from unified_llm._backends.mlx.model_folder import find_configured
from unified_llm._core.redaction import quoted
from unified_llm._lib.local_files import expand_home
from unified_llm.exceptions import ConfigurationError

DEMO: Final = "demo"


def resolve_folder(model: str) -> Path:
    """Return the folder of a model's name.

    Raises:
        ConfigurationError: There is no such folder.
    """
    if (folder := find_folder(model)) is not None:
        return folder
    raise ConfigurationError(_not_found_message(model, expand_home(model)))


def find_folder(model: str) -> Path | None:
    """Return the folder of a model's name; None where there is none."""
    if model == DEMO:
        return mlx.demo_folder()
    if not model.isprintable():
        return None
    folder = expand_home(model)
    if folder.is_dir():
        return folder
    return find_configured(model) or find_snapshot(model)


def pull_command(model: str) -> str:
    """Return the command that downloads a model of the hub."""
    return f"unified-llm mlx pull {model}"


def _not_found_message(model: str, folder: Path) -> str:
    # Quoted only where the name is none that could be a key.
    is_name = quoted(model) == repr(model)
    named = read_hub_name(model) if is_name and "/" in model else None
    if named is not None and has_part_of(named):
        return f"The download of {model} is not whole: run {pull_command(model)} to finish it."
    shown = repr(str(folder.absolute())) if is_name else quoted(model)
    problem = f"There is no such folder for mlx/: {shown}; and no model of that name in the local Hugging Face cache."
    if named is None:
        return f"{problem} Pass the path of a folder in the Hugging Face layout: config.json, tokenizer and weights."
    return (
        f"{problem} If it is a model of the Hugging Face hub, run {pull_command(model)}, or pass download=True to have "
        "it downloaded when the client is made."
    )
