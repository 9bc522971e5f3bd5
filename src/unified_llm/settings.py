"""Process-wide defaults: ``configure()``, then the environment.

Precedence, everywhere: the call, the constructor, ``configure()``, the environment, the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from unified_llm.exceptions import ConfigurationError

# name: (environment variable, how to read it)
_KNOWN: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "timeout": ("UNIFIED_LLM_TIMEOUT", float),
    "max_retries": ("UNIFIED_LLM_MAX_RETRIES", int),
    "retry_delay": ("UNIFIED_LLM_RETRY_DELAY", float),
    "cache_ttl": ("UNIFIED_LLM_CACHE_TTL", float),
}
_configured: dict[str, Any] = {}


def configure(**defaults: float | None) -> None:
    """Set process-wide defaults; ``None`` removes one.

    Args:
        **defaults: ``timeout`` (seconds for an attempt), ``max_retries``, ``retry_delay`` (seconds), ``cache_ttl``
            (seconds that a model list stays fresh). They hold for clients made afterwards.

    Raises:
        ConfigurationError: A name is unknown or a value makes no sense. Nothing is then changed.
    """
    for name, value in defaults.items():
        if name not in _KNOWN:
            close = get_close_matches(name, _KNOWN, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(_KNOWN)}."
            raise ConfigurationError(f"configure() has no default called {name!r}: {hint}")
        if value is not None:
            _check(name, value, f"configure({name}=...)")
    for name, value in defaults.items():
        if value is None:
            _configured.pop(name, None)
        else:
            _configured[name] = value


def default(name: str) -> Any:
    """The process-wide default, or None.

    Raises:
        ConfigurationError: The environment variable holds no number.
    """
    if name in _configured:
        return _configured[name]
    variable, read = _KNOWN[name]
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        value = read(text)
    except ValueError:
        kind = "whole number" if read is int else "number"
        raise ConfigurationError(f"The environment variable {variable} must hold a {kind}.") from None
    _check(name, value, f"the environment variable {variable}")
    return value


def _check(name: str, value: Any, source: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"The value from {source} must be a number, 0 or greater.")
    if name == "max_retries" and not isinstance(value, int):
        raise ConfigurationError(f"The value from {source} must be a whole number.")
    if name == "timeout" and value == 0:
        raise ConfigurationError(f"The value from {source} must be greater than 0 seconds.")
