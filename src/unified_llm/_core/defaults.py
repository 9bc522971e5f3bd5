"""Settings of the process that are no fields of a target: ``configure()``, then the environment, then the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from unified_llm._core.environment import read_flag, source_of, variable, variable_of
from unified_llm.exceptions import ConfigurationError

WITHOUT_USAGE: Final = "without_usage"
# What each setting may be, for messages.
_CHOICES: Final[Mapping[str, str]] = {
    "error_details": "True or False",
    "telemetry": f'True, False or "{WITHOUT_USAGE}"',
    "model_cache": "True, False or the path of a folder",
}
NAMES: Final = tuple(_CHOICES)
_VARIABLES: Final[Mapping[str, str]] = {name: variable_of(name) for name in NAMES}
_configured: dict[str, Any] = {}
_of_file: Mapping[str, Any] = {}


def store(name: str, value: Any) -> None:
    """Set a default that was checked; None removes it."""
    if value is None:
        _configured.pop(name, None)
    else:
        _configured[name] = value


def set_file(values: Mapping[str, Any]) -> None:
    """Use the settings of a configuration file, which were checked, in place of those of another one."""
    global _of_file  # noqa: PLW0603 - the one file of the process, set here alone
    _of_file = values


def configured(name: str) -> Any:
    """Return what ``configure()`` set, or None."""
    return _configured.get(name)


def of_file(name: str) -> Any:
    """Return what the configuration file sets, or None."""
    return _of_file.get(name)


def default(name: str) -> Any:
    """Return the process-wide setting, or None.

    Raises:
        ConfigurationError: The environment variable holds something else.
    """
    if name in _configured:
        return _configured[name]
    if not (text := variable(_VARIABLES[name])):
        return _of_file.get(name)
    flag, word = read_flag(text), text.strip().lower()
    value = flag if flag is not None else word if word == WITHOUT_USAGE else text
    return check(name, value, source_of(_VARIABLES[name]))


def wants_latest_conventions() -> bool:
    """Check whether the environment asks for OpenTelemetry's newest conventions, as for any instrumentation."""
    listed = variable("OTEL_SEMCONV_STABILITY_OPT_IN") or ""
    return "gen_ai_latest_experimental" in {name.strip() for name in listed.split(",")}


def check(name: str, value: Any, source: str) -> Any:
    """Return a value; refuse one that makes no sense.

    Raises:
        ConfigurationError: With the source of the value.
    """
    if isinstance(value, bool) or (name == "telemetry" and value == WITHOUT_USAGE):
        return value
    if name == "model_cache" and isinstance(value, (str, os.PathLike)) and os.fsdecode(value).strip():
        with suppress(RuntimeError, OSError):  # there is no such user, or no working directory
            return str(Path(os.fsdecode(value)).expanduser().absolute())  # whatever the working directory is later
    raise ConfigurationError(f"The value from {source} must be {_CHOICES[name]}.")
