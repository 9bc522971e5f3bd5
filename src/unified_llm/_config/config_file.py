"""The configuration file: where it is looked for, and how it is read into plain data with the line of each value.

It is read from the path that ``configure(config=...)`` or ``UNIFIED_LLM_CONFIG`` names, else from the user's
configuration directory; never from the working directory, which may belong to somebody else.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unified_llm._core.environment import source_of, variable
from unified_llm._core.redaction import begins_like_a_key
from unified_llm._lib import located
from unified_llm._lib.local_files import expand_home, home_folder
from unified_llm._lib.located import DocumentError, Located
from unified_llm.exceptions import ConfigurationError

VARIABLE: Final = "UNIFIED_LLM_CONFIG"
_FOLDER: Final = "unified-llm"
_NAMES: Final = ("config.yaml", "config.yml", "config.json")
_MOST_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """A file that was parsed.

    Attributes:
        path: Its path.
        content: Its value, which may hold keys, and the line of each part.
        readable_by_others: Users beside the owner may read it.
    """

    path: str
    content: Located
    readable_by_others: bool

    def error(self, path: located.Path, text: str) -> ConfigurationError:
        """Return the error for a part of the document."""
        return ConfigurationError(f"{self.path}, line {self.content.line(path)}: {text}")


def user_folder() -> Path | None:
    """Return the user's configuration directory for this package, whether it exists or not; None without a home.

    It is that of the platform: below ``~/.config``, ``~/Library/Application Support`` on macOS, and ``%APPDATA%`` on
    Windows. ``XDG_CONFIG_HOME`` goes before these.
    """
    if (chosen := variable("XDG_CONFIG_HOME")) and Path(chosen).is_absolute():
        return Path(chosen) / _FOLDER
    if sys.platform == "win32":
        if roaming := variable("APPDATA"):
            return Path(roaming) / _FOLDER
        below = "AppData/Roaming"
    else:
        below = "Library/Application Support" if sys.platform == "darwin" else ".config"
    named = Path(variable("HOME") or "") if sys.platform != "win32" else Path()
    home = named if named.is_absolute() else home_folder()
    return home / below / _FOLDER if home is not None else None


def places() -> Iterator[Path]:
    """Yield the files that are looked for in the user's configuration directory; the first that exists is read."""
    if (folder := user_folder()) is not None:
        yield from (folder / name for name in _NAMES)


def find() -> tuple[Path, str] | None:
    """Return the path of the file, where one is named or exists, and what named it."""
    if named := (variable(VARIABLE) or "").strip():
        return expand_home(named), source_of(VARIABLE)
    try:
        folder = user_folder()
        if folder is None or not folder.is_dir():
            return None
        return next(((path, "the user's configuration directory") for path in places() if path.is_file()), None)
    except OSError:  # it cannot be searched
        return None


def read_document(path: Path, named_by: str) -> Document:
    """Read and parse a file: JSON where its name ends in ``.json``, else YAML.

    Args:
        path: The file.
        named_by: What named it, for messages.

    Raises:
        ConfigurationError: There is no such file, it cannot be read, or it is no document of its format.
    """
    text, mode = read_text(path, named_by)
    line: int | None = None
    try:
        content = _parse(text, is_json=path.suffix.lower() == ".json")
    except DocumentError as wrong:
        problem, line = f"{wrong}.", wrong.line
    except ModuleNotFoundError:
        problem = "reading YAML needs an extra: run pip install 'unified-llm[yaml]', or write the file as .json."
    else:
        return Document(str(path), content, _is_shared(mode))
    where = "" if line is None else f", line {line}"
    raise ConfigurationError(f"{path}{where}: {problem}")  # here, so that no parser's error is the context


def _parse(text: str, *, is_json: bool) -> Located:
    if is_json:
        from unified_llm._lib.located_json import parse_json

        return parse_json(text) if text.strip() else Located(None, {})
    from unified_llm._lib.located_yaml import parse_yaml

    return parse_yaml(text)


def read_text(path: Path, named_by: str) -> tuple[str, int]:
    """Return the text of a file that is small and UTF-8, and its mode.

    Raises:
        ConfigurationError: It is something else, or cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise ConfigurationError(f"{path}, named by {named_by}, is {kind}: name a file.")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        shown = "of that name" if begins_like_a_key(path.name) else path
        raise ConfigurationError(f"There is no file {shown}, which {named_by} names.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is no path"
        raise ConfigurationError(f"{path}, named by {named_by}, cannot be read: {reason}.") from None
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(f"{path} is larger than {_MOST_BYTES // 1024} KiB, so it is no configuration file.")
    try:
        return content.decode("utf-8-sig"), status.st_mode
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
    raise ConfigurationError(f"{path}, line {line}: it is not UTF-8 text: save it as UTF-8.")


def _is_shared(mode: int) -> bool:
    return sys.platform != "win32" and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
