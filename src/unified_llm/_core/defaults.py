"""Process-wide defaults: what ``configure()`` stored, then the environment.

Precedence, everywhere: the call, the constructor, ``configure()``, the environment, the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from unified_llm.exceptions import ConfigurationError


def _read_bool(text: str) -> bool:
    try:
        return {"1": True, "true": True, "0": False, "false": False}[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


# name: (environment variable, how to read it)
_READERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "timeout": ("UNIFIED_LLM_TIMEOUT", float),
    "connect_timeout": ("UNIFIED_LLM_CONNECT_TIMEOUT", float),
    "max_retries": ("UNIFIED_LLM_MAX_RETRIES", int),
    "retry_delay": ("UNIFIED_LLM_RETRY_DELAY", float),
    "cache_ttl": ("UNIFIED_LLM_CACHE_TTL", float),
    "telemetry": ("UNIFIED_LLM_TELEMETRY", _read_bool),
}
_configured: dict[str, Any] = {}


def store(name: str, value: Any) -> None:
    """Set a default that was checked; None removes it."""
    if value is None:
        _configured.pop(name, None)
    else:
        _configured[name] = value


def configured(name: str) -> Any:
    """Return what ``configure()`` set, or None."""
    return _configured.get(name)


def default(name: str) -> Any:
    """Return the process-wide default, or None.

    Raises:
        ConfigurationError: The environment variable holds something else.
    """
    if name in _configured:
        return _configured[name]
    variable, read = _READERS[name]
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        value = read(text)
    except ValueError:
        kind = "a whole number" if read is int else "a number" if read is float else "true or false"
        raise ConfigurationError(f"The environment variable {variable} must hold {kind}.") from None
    check(name, value, f"the environment variable {variable}")
    return value


def check(name: str, value: Any, source: str) -> None:
    """Refuse a value that makes no sense.

    Raises:
        ConfigurationError: With the source of the value.
    """
    if name == "telemetry":
        if not isinstance(value, bool):
            raise ConfigurationError(f"The value from {source} must be True or False.")
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"The value from {source} must be a number, 0 or greater.")
    if name == "max_retries" and not isinstance(value, int):
        raise ConfigurationError(f"The value from {source} must be a whole number.")
    if name in {"timeout", "connect_timeout"} and value == 0:
        raise ConfigurationError(f"The value from {source} must be greater than 0 seconds.")
