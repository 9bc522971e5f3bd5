"""Models in the local cache of Hugging Face, by their names. Nothing is downloaded.

The cache's layout is documented at huggingface.co/docs/huggingface_hub/guides/manage-cache, its variables at
huggingface.co/docs/huggingface_hub/package_reference/environment_variables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from unified_llm._lib.local_files import expand_home

_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_COMMIT: Final = re.compile(r"\w+", re.ASCII)


def is_hub_id(name: str) -> bool:
    """Check whether a name could be that of a model of the hub, ``organisation/model``."""
    return "/" in name and _NAME.fullmatch(name) is not None


def find_snapshot(name: str) -> Path | None:
    """Return the folder of a model that was downloaded, such as ``mlx-community/Qwen3-4B-4bit``; None if it was not.

    That is the snapshot of the branch ``main``, or the newest one where the cache does not say which that is.
    """
    if not _NAME.fullmatch(name):
        return None
    model = _cache_folder() / f"models--{name.replace('/', '--')}"
    try:
        commit = (model / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        commit = ""
    snapshot = model / "snapshots" / commit
    if _COMMIT.fullmatch(commit) and snapshot.is_dir():
        return snapshot
    return max(_snapshots(model), key=lambda folder: folder.stat().st_mtime, default=None)


def downloaded_models() -> Iterator[tuple[str, Path]]:
    """Yield the name and the folder of each model in the cache, in order of their names, whatever it is."""
    try:
        entries = sorted(entry.name for entry in _cache_folder().glob("models--*"))
    except OSError:
        return
    for entry in entries:
        name = entry.removeprefix("models--").replace("--", "/")
        if (snapshot := find_snapshot(name)) is not None:
            yield name, snapshot


def _snapshots(model: Path) -> Iterator[Path]:
    try:
        yield from (folder for folder in (model / "snapshots").iterdir() if folder.is_dir())
    except OSError:
        return


def _cache_folder() -> Path:
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if path := os.environ.get(variable):
            return expand_home(path)
    if home := os.environ.get("HF_HOME"):
        return expand_home(home) / "hub"
    return expand_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"
