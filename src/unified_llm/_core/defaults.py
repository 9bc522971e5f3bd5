"""Settings of the process that are no fields of a target: ``configure()``, then the environment, then the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from unified_llm._core.environment import source_of, variable
from unified_llm.exceptions import ConfigurationError


def _read_bool(text: str) -> bool:
    try:
        return {"1": True, "true": True, "0": False, "false": False}[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


WITHOUT_USAGE: Final = "without_usage"


def _read_telemetry(text: str) -> bool | str:
    return WITHOUT_USAGE if text.strip().lower() == WITHOUT_USAGE else _read_bool(text)


def _read_folder(text: str) -> bool | str:
    try:
        return _read_bool(text)
    except ValueError:
        return text


# name: (environment variable, how to read it, what it must hold)
_READERS: Final[Mapping[str, tuple[str, Callable[[str], Any], str]]] = {
    "error_details": ("UNIFIED_LLM_ERROR_DETAILS", _read_bool, "true or false"),
    "telemetry": ("UNIFIED_LLM_TELEMETRY", _read_telemetry, f"true, false or {WITHOUT_USAGE}"),
    "model_cache": ("UNIFIED_LLM_MODEL_CACHE", _read_folder, "true, false or the path of a folder"),
}
# What a setting may be other than "True or False", for messages.
_CHOICES: Final = {
    "telemetry": f'True, False or "{WITHOUT_USAGE}"',
    "model_cache": "True, False or the path of a folder",
}
NAMES: Final = tuple(_READERS)
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
    name_of_variable, read, holds = _READERS[name]
    text = variable(name_of_variable)
    if not text:
        return _of_file.get(name)
    try:
        value = read(text)
    except ValueError:
        source = source_of(name_of_variable)
        raise ConfigurationError(f"{source[0].upper()}{source[1:]} must hold {holds}.") from None
    return check(name, value, source_of(name_of_variable))


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
        with suppress(RuntimeError):  # there is no such user
            return str(Path(os.fsdecode(value)).expanduser().absolute())  # whatever the working directory is later
    raise ConfigurationError(f"The value from {source} must be {_CHOICES.get(name, 'True or False')}.")
