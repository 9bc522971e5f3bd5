"""Process-wide defaults: ``configure()``, then the environment.

Precedence, everywhere: the call, the constructor, ``configure()``, the environment, the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any, Final

from unified_llm.exceptions import ConfigurationError


def _switch(text: str) -> bool:
    try:
        return {"1": True, "true": True, "0": False, "false": False}[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


# name: (environment variable, how to read it)
_KNOWN: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "timeout": ("UNIFIED_LLM_TIMEOUT", float),
    "max_retries": ("UNIFIED_LLM_MAX_RETRIES", int),
    "retry_delay": ("UNIFIED_LLM_RETRY_DELAY", float),
    "cache_ttl": ("UNIFIED_LLM_CACHE_TTL", float),
    "telemetry": ("UNIFIED_LLM_TELEMETRY", _switch),
    "state": ("UNIFIED_LLM_STATE", str),
}
_configured: dict[str, Any] = {}


def configure(**defaults: float | str | None) -> None:
    """Set process-wide defaults; ``None`` removes one.

    Args:
        **defaults: ``timeout`` (seconds for an attempt), ``max_retries``, ``retry_delay`` (seconds), ``cache_ttl``
            (seconds that a model list stays fresh); they hold for clients made afterwards. ``telemetry`` (at once):
            False tells OpenTelemetry nothing, True tells it measurements even where no spans are collected. ``state``
            (at once): a Redis URL; breakers, holds and model lists are shared with the processes that name the same.

    Raises:
        ConfigurationError: A name is unknown, a value makes no sense, or ``state`` lacks its extra. Nothing is then
            changed.
    """
    if defaults.get("state") is not None:
        _hide_address(defaults)
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
    if "state" in defaults:
        from unified_llm._state import sharing

        sharing.attach()


def default(name: str) -> Any:
    """The process-wide default, or None.

    Raises:
        ConfigurationError: The environment variable holds something else.
    """
    if name in _configured:
        return _configured[name]
    variable, read = _KNOWN[name]
    if name == "state":
        return _address() if os.environ.get(variable) else None
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        value = read(text)
    except ValueError:
        kind = "a whole number" if read is int else "a number" if read is float else "true or false"
        raise ConfigurationError(f"The environment variable {variable} must hold {kind}.") from None
    _check(name, value, f"the environment variable {variable}")
    return value


def _hide_address(values: dict[str, Any]) -> None:
    """Put an ``Address`` in place of a URL, which may hold a password: tracebacks are printed with their variables."""
    from unified_llm._state.redis.url import Address

    values["state"] = Address(values.pop("state"), "configure(state=...)")


def _address() -> Any:
    """What the environment says; no frame has the URL in a variable."""
    return _reader()(os.environ["UNIFIED_LLM_STATE"], "the environment variable UNIFIED_LLM_STATE")


@cache
def _reader() -> Callable[[str, str], Any]:
    from unified_llm._state.redis.url import Address

    return lru_cache(1)(Address)  # checking it takes a while, and every client looks here


def _check(name: str, value: Any, source: str) -> None:
    if name == "state":
        return  # it has checked itself
    if name == "telemetry":
        if not isinstance(value, bool):
            raise ConfigurationError(f"The value from {source} must be True or False.")
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"The value from {source} must be a number, 0 or greater.")
    if name == "max_retries" and not isinstance(value, int):
        raise ConfigurationError(f"The value from {source} must be a whole number.")
    if name == "timeout" and value == 0:
        raise ConfigurationError(f"The value from {source} must be greater than 0 seconds.")
