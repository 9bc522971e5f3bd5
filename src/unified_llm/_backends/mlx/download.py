"""Download models of the Hugging Face hub into its local cache, with huggingface_hub.

Only what MLX reads is downloaded, never pickles or Python. That library compares the sizes of files alone, so their
hashes are checked here, and a file that differs is removed. The life of a download in the cache::

    model_info         the commit, and its files with their sizes: refused without weights, or without space on the disk
        |
    mark the commit    from here on it is no model for ``hub_cache``, whatever happens to this process
        |
    snapshot_download  file by file; what is whole already is not downloaded again, a file that breaks off is resumed
        |
    verify             the hash of each file (SHA-256 of weights); a file that differs is removed
        |
    unmark the commit  now it is a model
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unified_llm._backends.mlx.hub_cache import MAIN, HubName, read_hub_name
from unified_llm._backends.mlx.model_names import pull_command
from unified_llm._backends.mlx.model_paths import cache_folder
from unified_llm._core.environment import read_flag, real_variable, variable
from unified_llm._core.redaction import quoted
from unified_llm._lib.byte_sizes import show_bytes
from unified_llm._lib.fork_safe import make_lock
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

_log = logging.getLogger("unified_llm")

WANTED: Final = (
    "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "model*.safetensors", "adapter*.safetensors",
)  # fmt: skip
"""The files that are downloaded: settings, tokenizers, templates and weights as safetensors."""

_WEIGHTS: Final = ("model*.safetensors", "adapter*.safetensors")
_OFFLINE: Final = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TOKEN: Final = "HF_TOKEN"  # noqa: S105 - the name of the variable
_SPARE: Final = 64 << 20  # bytes that a disk keeps free
_TIMEOUT: Final = 30.0  # seconds for the list of files
_one_at_a_time = make_lock()


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A model that is in the cache now.

    Attributes:
        id: The name of its repository.
        revision: The branch, tag or commit that was asked for.
        commit: The commit that it is at.
        folder: Where it is.
        size: The bytes of its files.
    """

    id: str
    revision: str
    commit: str
    folder: Path
    size: int

    @property
    def model(self) -> str:
        """Its name, as in ``mlx/<name>``."""
        return str(HubName(self.id, self.revision))


@dataclass(frozen=True, slots=True)
class _Listing:
    """A model on the hub: its commit, and the size of each file that is wanted."""

    commit: str
    sizes: dict[str, int]


def download_model(name: str) -> Downloaded:
    """Download a model of the hub; one that is in the cache already is brought up to date and verified.

    A progress bar is shown where standard error is a terminal (``HF_HUB_DISABLE_PROGRESS_BARS=1`` hides it).

    Args:
        name: ``organisation/model``, or ``organisation/model@revision``.

    Raises:
        ConfigurationError: It cannot be downloaded; the message says why, and what to do.
    """
    named = read_hub_name(name)
    if named is None or "/" not in name:
        raise ConfigurationError(
            f"{quoted(name)} is no name of a model at the Hugging Face hub: write organisation/model, such as "
            "mlx-community/Qwen3-4B-4bit."
        )
    if any(read_flag(real_variable(name) or "") for name in _OFFLINE):
        raise ConfigurationError(
            f"{named} is not downloaded, since {' or '.join(_OFFLINE)} is set: unset it, and run "
            f"{pull_command(str(named))}."
        )
    _warn_of_event_loop(named)
    with _one_at_a_time, _explained(named):
        return _download(named)


def _warn_of_event_loop(named: HubName) -> None:
    import asyncio

    with suppress(RuntimeError):
        asyncio.get_running_loop()
        text = "%s: the download blocks the event loop: make the client before it starts, or run %s first"
        _log.warning(text, named, pull_command(str(named)))


def _download(named: HubName) -> Downloaded:
    from huggingface_hub import HfApi, snapshot_download

    api = HfApi(endpoint=real_variable("HF_ENDPOINT") or None, token=_token(), library_name="unified-llm")
    listing = _list_files(api, named)
    _check_space(named, listing)
    marker = named.marker(listing.commit)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    folder = Path(
        snapshot_download(
            named.id,
            revision=named.revision,
            cache_dir=cache_folder(),
            endpoint=api.endpoint,
            token=_token(),
            library_name="unified-llm",
            allow_patterns=list(WANTED),
            tqdm_class=_progress_bar(),
        )
    )
    _verify(api, named, folder)
    marker.unlink(missing_ok=True)
    return Downloaded(named.id, named.revision, folder.name, folder, sum(listing.sizes.values()))


def _progress_bar() -> Any:
    """Return the library's progress bar, of which nothing is shown where there is no terminal."""
    from huggingface_hub.utils.tqdm import tqdm

    plain: Any = tqdm

    class Bar(plain):  # type: ignore[misc]
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **{"disable": None, **settings})  # None: off unless it is a terminal

    return Bar


def _token() -> str | None:
    """Return the token of the environment or of the ``.env`` file; None for that which the library has stored."""
    return variable(_TOKEN) or None


def _list_files(api: HfApi, named: HubName) -> _Listing:
    info = api.model_info(named.id, revision=named.revision, timeout=_TIMEOUT, files_metadata=True)
    siblings = info.siblings or []
    wanted = [file for file in siblings if _matches(file.rfilename, WANTED)]
    if not any(_matches(file.rfilename, _WEIGHTS) for file in wanted):
        raise ConfigurationError(
            f"{named} has no weights as safetensors, the only format that is loaded: choose another model, such as one "
            "of mlx-community."
        )
    return _Listing(info.sha or "", {file.rfilename: file.size or 0 for file in wanted})


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_space(named: HubName, listing: _Listing) -> None:
    """Refuse a download that does not fit on the disk, before it begins."""
    snapshot = named.folder / "snapshots" / listing.commit
    missing = {name: size for name, size in listing.sizes.items() if not (snapshot / name).is_file()}
    size = sum(missing.values())
    if not size:
        return
    _log.info("%s: downloading %s in %d files", named, show_bytes(size), len(missing))
    folder = cache_folder()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size + _SPARE > free:
        raise ConfigurationError(
            f"{named} needs {show_bytes(size)}, and {show_bytes(free)} are free where the Hugging Face cache is "
            f"({cache_folder()}): free some, or let HF_HOME name a folder on another disk."
        )


def _verify(api: HfApi, named: HubName, folder: Path) -> None:
    """Compare the hashes of all files with those of the hub; remove what differs.

    Raises:
        ConfigurationError: A file differs.
    """
    checked = api.verify_repo_checksums(named.id, revision=folder.name, cache_dir=cache_folder())
    if not checked.mismatches:
        return
    names = [mismatch["path"] for mismatch in checked.mismatches]
    for name in names:
        path = folder / name
        path.resolve().unlink(missing_ok=True)  # the blob
        path.unlink(missing_ok=True)
    raise ConfigurationError(
        f"{', '.join(names)} of {named} arrived damaged (the hub states another hash) and was removed: run "
        f"{pull_command(str(named))} again."
    )


@contextmanager
def _explained(named: HubName) -> Generator[None]:
    """Turn what the library raises into one sentence that says what to do. Its own messages are left out."""
    try:
        yield
    except ConfigurationError:
        raise
    except ImportError:
        raise ConfigurationError("huggingface_hub is not installed: run pip install 'unified-llm[mlx]'.") from None
    except Exception as error:  # noqa: BLE001 - those of its HTTP client have no common base with the others
        raise ConfigurationError(_explain(error, named)) from None


def _explain(error: Exception, named: HubName) -> str:
    from huggingface_hub.errors import HfHubHTTPError

    again = pull_command(str(named))
    match getattr(error, "errno", None):
        case errno.ENOSPC | errno.EDQUOT:
            return (
                f"The disk is full, so {named} was not downloaded whole: free some space in {cache_folder()}, and run "
                f"{again} to go on."
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{named} cannot be written to {cache_folder()}: let HF_HOME name a folder that can be written to."
        case _:
            pass
    cause = error if isinstance(error, HfHubHTTPError) else error.__cause__ or error
    if isinstance(cause, HfHubHTTPError):
        return _explain_response(cause, named)
    return (
        f"The Hugging Face hub cannot be reached, or the connection broke ({type(cause).__name__}), so {named} was not "
        f"downloaded whole: run {again} once the network is back."
    )


def _explain_response(error: HfHubHTTPError, named: HubName) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    status = error.response.status_code
    match error:
        case GatedRepoError():
            return (
                f"{named} is open only to those who accepted its licence: accept it at {_page(named)}, and set "
                f"{_TOKEN} to a token of that account{_state_of_token()}."
            )
        case RevisionNotFoundError():
            return f"{named.id} has no revision {named.revision}: leave it out for {MAIN}, or see {_page(named)}."
        case RepositoryNotFoundError():
            return (
                f"The Hugging Face hub has no model {named.id}, or it is private: check the name, or set {_TOKEN} to a "
                f"token that may read it{_state_of_token()}."
            )
        case _ if status in {401, 403}:
            return (
                f"The Hugging Face hub refused the request for {named} ({status}): set {_TOKEN} to a token that may "
                f"read it{_state_of_token()}."
            )
        case _ if status == 404:
            return f"The Hugging Face hub has no model {named.id} (404): check the name."
        case _:
            return (
                f"The Hugging Face hub answered {status}, so {named} was not downloaded: run "
                f"{pull_command(str(named))} later."
            )


def _state_of_token() -> str:
    return "" if variable(_TOKEN) else ", which is not set now"


def _page(named: HubName) -> str:
    return f"{real_variable('HF_ENDPOINT') or 'https://huggingface.co'}/{named.id}"
