"""Settings of the process that are no fields of a target: ``telemetry``, ``model_cache``, ``state`` ..."""

from __future__ import annotations

from typing import Any, Final

from unified_llm._core import defaults

NAMES: Final = (*defaults.NAMES, "state")
BESIDE_TARGETS: Final = ("providers", "config", "env_file", *NAMES)
"""What ``configure()`` sets beside the fields of targets."""


def check(name: str, value: Any, source: str) -> Any:
    """Return a setting that makes sense; None, which removes it, as it is.

    Raises:
        ConfigurationError: It makes none, or ``state`` lacks its extra. The message does not repeat it.
    """
    if value is None:
        return None
    if name == "state":
        from unified_llm._state.redis.url import RedisURL

        return RedisURL(value, source)
    return defaults.check(name, value, source)
