"""Where models are on this machine, and the rule that the files of a model lie there.

A model is data from elsewhere. A path in its JSON files, or a link among its files, must not lead to a file that is
none of the model's: every file that is read lies in the folder itself, in the cache of Hugging Face, whose snapshots
are links to its blobs, or in a folder of ``MLX_MODEL_PATH``.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from unified_llm._backends.mlx.engine_types import UnloadableError
from unified_llm._core.environment import real_variable, variable
from unified_llm._lib.local_files import expand_home

CONFIGURED = "MLX_MODEL_PATH"
"""The variable with folders of models, or of one model each, separated as in PATH."""


def cache_folder() -> Path:
    """Return the folder of Hugging Face's cache, which need not exist."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if path := real_variable(name):
            return expand_home(path)
    if home := real_variable("HF_HOME"):
        return expand_home(home) / "hub"
    return expand_home(real_variable("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def configured_folders() -> list[Path]:
    """Return the folders in ``MLX_MODEL_PATH``, in order; a folder whose name has the separator in it stands alone."""
    text = (variable(CONFIGURED) or "").strip()
    if text and expand_home(text).is_dir():
        return [expand_home(text)]
    return [expand_home(part.strip()) for part in text.split(os.pathsep) if part.strip()]


def is_below(name: str) -> bool:
    """Return whether a relative path stays in the folder that it is relative to, whatever links are there."""
    if "\0" in name or "\\" in name:
        return False
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def file_of_model(folder: Path, name: str) -> Path:
    """Return the path of a file that a model's JSON names.

    Raises:
        UnloadableError: It leads out of the folder.
    """
    if not is_below(name):
        raise UnloadableError(
            f"A file of the model in {folder} names a path outside of its folder, which is refused: use another model."
        )
    path = folder / name
    check_inside(folder, [path])
    return path


def check_inside(folder: Path, paths: list[Path]) -> None:
    """Refuse files of a model that are links to what is none of the model's. What is not there is not checked.

    Raises:
        UnloadableError: One leads elsewhere.
    """
    roots = [_resolved(root) for root in (folder, cache_folder(), *configured_folders())]
    for path in paths:
        target = _resolved(path)
        if not any(target.is_relative_to(root) for root in roots):
            raise UnloadableError(
                f"{path.name} of the model in {folder} is a link to a file elsewhere, which is refused: put the file "
                f"in its place, or add the folder that it is in to {CONFIGURED}."
            )


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return path.absolute()
