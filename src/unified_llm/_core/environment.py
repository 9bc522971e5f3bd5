"""Variables of the environment: the real ones, then those of a ``.env`` file that the user named.

The variables of the file are visible to this package alone: ``os.environ`` is not changed, so neither other code of the
process nor its child processes get the keys in it. Variables that belong to the machine, and that other libraries read
as well (``HTTPS_PROXY``, ``SSL_CERT_FILE``, ``HF_HOME``), are read from ``os.environ`` alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from unified_llm._core.hidden import Hidden

PREFIX: Final = "UNIFIED_LLM_"
"""The beginning of the names of this package's own variables."""

_FLAGS: Final[Mapping[str, bool]] = {
    "1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip
_NONE: Final[Mapping[str, str]] = {}
_from_file: Hidden[Mapping[str, str]] = Hidden(_NONE)
_file: str = ""


def variable_of(setting: str) -> str:
    """Return the name of this package's variable for a setting."""
    return f"{PREFIX}{setting.upper()}"


def read_flag(text: str) -> bool | None:
    """Return what a word means that stands for True or False; None for any other text."""
    return _FLAGS.get(text.strip().lower())


def variable(name: str) -> str | None:
    """Return the value of a variable, or None; one that is set in the environment goes before that of the file."""
    text = os.environ.get(name)
    return _from_file.value.get(name) if text is None else text


def real_variable(name: str) -> str | None:
    """Return the value of a variable of the environment itself, or None: what names the file cannot stand in it."""
    return os.environ.get(name)


def source_of(name: str) -> str:
    """Say where a variable is set, for messages."""
    if name not in os.environ and name in _from_file.value:
        return f"the variable {name} in {_file}"
    return f"the environment variable {name}"


def names_with(prefix: str) -> list[str]:
    """Return the names of the variables that begin so."""
    names = [name for name in os.environ if name.startswith(prefix)]
    return names + [name for name in _from_file.value if name.startswith(prefix) and name not in os.environ]


def set_file(path: str, values: Hidden[Mapping[str, str]] | None) -> None:
    """Use the variables of a file in place of those of another one; None removes them."""
    global _from_file, _file
    _file, _from_file = path, values or Hidden(_NONE)


def file_in_use() -> str:
    """Return the path of the file whose variables are used; empty where there is none."""
    return _file
