"""Models in the local cache of Hugging Face, by their names. Nothing is downloaded here (see ``download``).

The cache's layout is documented at huggingface.co/docs/huggingface_hub/guides/manage-cache, its variables at
huggingface.co/docs/huggingface_hub/package_reference/environment_variables::

    models--org--name/
        refs/main               the commit that the branch is at; written before its files are there
        trees/<commit>.json     the files of a commit, written since huggingface_hub 2.0
        unverified-<commit>     written by ``download`` while the hashes of the files are not checked yet
        blobs/<hash>            the files
        snapshots/<commit>/     links to them, each made when its file is whole
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from unified_llm._backends.mlx.engine_types import EngineError
from unified_llm._backends.mlx.model_files import has_all_weights, read_object
from unified_llm._backends.mlx.model_paths import cache_folder
from unified_llm._formats.json_values import is_object

MAIN: Final = "main"
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_REVISION: Final = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_COMMIT: Final = re.compile(r"\w+", re.ASCII)
_MARKER: Final = "unverified-"
_LONGEST: Final = 96  # characters of a name at the hub (huggingface_hub.utils.validate_repo_id)
# What a model cannot run without, of the files that its repository has.
_NEEDED: Final = (
    "config.json", "model*.safetensors", "model.safetensors.index.json", "tokenizer*", "chat_template.*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HubName:
    """A model of the hub: ``organisation/model``, or ``organisation/model@revision``.

    Attributes:
        id: The name of its repository.
        revision: A branch, a tag or a commit.
    """

    id: str
    revision: str = MAIN

    def __str__(self) -> str:
        """Write it as it is read."""
        return self.id if self.revision == MAIN else f"{self.id}@{self.revision}"

    @property
    def folder(self) -> Path:
        """The folder of the repository in the cache."""
        return cache_folder() / f"models--{self.id.replace('/', '--')}"

    def marker(self, commit: str) -> Path:
        """Return the file that is there while a downloaded commit is not verified."""
        return self.folder / f"{_MARKER}{commit}"


def read_hub_name(name: str) -> HubName | None:
    """Read the name of a model of the hub; None for what cannot be one."""
    repository, at, revision = name.partition("@")
    if len(repository) > _LONGEST or not _NAME.fullmatch(repository) or ".." in name or "--" in repository:
        return None
    if at and not _REVISION.fullmatch(revision):
        return None
    return HubName(repository, revision or MAIN)


def find_snapshot(name: str) -> Path | None:
    """Return the folder of a model that was downloaded, such as ``mlx-community/Qwen3-4B-4bit``; None if it was not.

    That is the snapshot of the branch ``main``. Where that is not whole, or the cache does not say which it is, it is
    the newest one that is whole. A revision that is named is that one alone.
    """
    if (named := read_hub_name(name)) is None:
        return None
    commit = _commit_of(named)
    if commit and (snapshot := _whole(named, commit)):
        return snapshot
    if named.revision != MAIN:
        return _whole(named, named.revision)
    snapshots = (folder for folder in _snapshots(named.folder) if _whole(named, folder.name))
    return max(snapshots, key=lambda folder: folder.stat().st_mtime, default=None)


def has_part_of(named: HubName) -> bool:
    """Return whether there is something of a model in the cache, as a download leaves it that was cut off."""
    return any(True for _ in _snapshots(named.folder))


def downloaded_models() -> Iterator[tuple[str, Path]]:
    """Yield the name and the folder of each model in the cache, in order of their names, whatever it is."""
    try:
        entries = sorted(entry.name for entry in cache_folder().glob("models--*"))
    except OSError:
        return
    for entry in entries:
        name = entry.removeprefix("models--").replace("--", "/")
        if (snapshot := find_snapshot(name)) is not None:
            yield name, snapshot


def unfinished_downloads() -> list[str]:
    """Return the models whose download was cut off, as far as this package began it."""
    markers = cache_folder().glob(f"models--*/{_MARKER}*")
    folders = {marker.parent.name for marker in markers}
    return sorted(folder.removeprefix("models--").replace("--", "/") for folder in folders)


def _commit_of(named: HubName) -> str:
    """Return the commit that a branch or tag is at; empty where the cache does not say it."""
    try:
        commit = (named.folder / "refs" / named.revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
    return commit if _COMMIT.fullmatch(commit) else ""


def _whole(named: HubName, commit: str) -> Path | None:
    """Return the snapshot of a commit, if all that a model needs is there and was not found to be damaged."""
    snapshot = named.folder / "snapshots" / commit
    if not _COMMIT.fullmatch(commit) or not snapshot.is_dir() or named.marker(commit).exists():
        return None
    try:
        is_whole = has_all_weights(snapshot) and all((snapshot / file).is_file() for file in _needed(named, commit))
    except (EngineError, OSError):
        return None
    return snapshot if is_whole else None


def _needed(named: HubName, commit: str) -> list[str]:
    """Return what must be there of a commit, by the list of its files; the minimum where there is no such list."""
    files = read_object(named.folder / "trees" / f"{commit}.json").get("files")
    listed = files if is_object(files) else {}
    return ["config.json", *(file for file in listed if any(fnmatchcase(file, pattern) for pattern in _NEEDED))]


def _snapshots(model: Path) -> Iterator[Path]:
    try:
        yield from (folder for folder in (model / "snapshots").iterdir() if folder.is_dir())
    except OSError:
        return
