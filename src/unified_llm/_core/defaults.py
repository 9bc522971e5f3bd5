"""Process-wide defaults: what ``configure()`` stored, then the environment.

Precedence, everywhere: the call, the constructor, ``configure()``, the environment, the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from unified_llm._core.seconds import SecondsError, read_seconds
from unified_llm.exceptions import ConfigurationError


def _read_bool(text: str) -> bool:
    try:
        return {"1": True, "true": True, "0": False, "false": False}[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


WITHOUT_USAGE: Final = "without_usage"


def _read_telemetry(text: str) -> bool | str:
    return WITHOUT_USAGE if text.strip().lower() == WITHOUT_USAGE else _read_bool(text)


_NUMBER: Final = "a number"
# name: (environment variable, how to read it, what it must hold)
_READERS: Final[Mapping[str, tuple[str, Callable[[str], Any], str]]] = {
    "timeout": ("UNIFIED_LLM_TIMEOUT", float, _NUMBER),
    "connect_timeout": ("UNIFIED_LLM_CONNECT_TIMEOUT", float, _NUMBER),
    "max_retries": ("UNIFIED_LLM_MAX_RETRIES", int, "a whole number"),
    "retry_delay": ("UNIFIED_LLM_RETRY_DELAY", float, _NUMBER),
    "cache_ttl": ("UNIFIED_LLM_CACHE_TTL", float, _NUMBER),
    "error_details": ("UNIFIED_LLM_ERROR_DETAILS", _read_bool, "true or false"),
    "telemetry": ("UNIFIED_LLM_TELEMETRY", _read_telemetry, f"true, false or {WITHOUT_USAGE}"),
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
    variable, read, holds = _READERS[name]
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        value = read(text)
    except ValueError:
        raise ConfigurationError(f"The environment variable {variable} must hold {holds}.") from None
    return check(name, value, f"the environment variable {variable}")


def wants_latest_conventions() -> bool:
    """Check whether the environment asks for OpenTelemetry's newest conventions, as for any instrumentation."""
    listed = os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "")
    return "gen_ai_latest_experimental" in {name.strip() for name in listed.split(",")}


def check(name: str, value: Any, source: str) -> Any:
    """Return a value, in seconds where it is a time; refuse one that makes no sense.

    Raises:
        ConfigurationError: With the source of the value.
    """
    if name == "telemetry":
        if not isinstance(value, bool) and value != WITHOUT_USAGE:
            raise ConfigurationError(f'The value from {source} must be True, False or "{WITHOUT_USAGE}".')
        return value
    if name == "error_details":
        if not isinstance(value, bool):
            raise ConfigurationError(f"The value from {source} must be True or False.")
        return value
    if name == "max_retries":
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigurationError(f"The value from {source} must be a whole number, 0 or greater.")
        return value
    try:
        return read_seconds(value, or_zero=name not in {"timeout", "connect_timeout"}, or_none=False)
    except SecondsError as wrong:
        raise ConfigurationError(f"The value from {source} {wrong}.") from None
