"""``configure()``: checks and sets process-wide defaults."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final

from unified_llm._core import defaults
from unified_llm.exceptions import ConfigurationError

_KNOWN: Final = ("timeout", "max_retries", "retry_delay", "cache_ttl", "telemetry", "state")


def configure(**values: float | str | None) -> None:
    """Set process-wide defaults; ``None`` removes one.

    Args:
        **values: ``timeout`` (seconds for an attempt), ``max_retries``, ``retry_delay`` (seconds), ``cache_ttl``
            (seconds that a model list stays fresh); they hold for clients made afterwards. ``telemetry`` (at once):
            False sends nothing to OpenTelemetry, True sends measurements even where no spans are collected. ``state``
            (at once): a Redis URL; breakers, cooldowns and model lists are shared with the processes that use the same.

    Raises:
        ConfigurationError: A name is unknown, a value makes no sense, or ``state`` lacks its extra. Nothing is then
            changed.
    """
    if values.get("state") is not None:
        _hide_url(values)
    for name, value in values.items():
        if name not in _KNOWN:
            close = get_close_matches(name, _KNOWN, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(_KNOWN)}."
            raise ConfigurationError(f"configure() has no default called {name!r}: {hint}")
        if value is not None and name != "state":  # whose URL has checked itself
            defaults.check(name, value, f"configure({name}=...)")
    for name, value in values.items():
        defaults.store(name, value)
    if "state" in values:
        from unified_llm._state import sharing

        sharing.attach()


def _hide_url(values: dict[str, Any]) -> None:
    """Put a ``RedisURL`` in place of a URL, which may hold a password: tracebacks are printed with their variables."""
    from unified_llm._state.redis.url import RedisURL

    values["state"] = RedisURL(values.pop("state"), "configure(state=...)")


configure.__module__ = "unified_llm"  # where users import it from
