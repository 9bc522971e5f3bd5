"""``configure()``: checks and sets process-wide defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Unpack

from unified_llm._core import defaults
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._lib.close_names import closest
from unified_llm._lib.signatures import Keywords, show_keywords
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from unified_llm._config.keywords import DefaultKeywords

_KNOWN: Final = (
    "timeout",
    "connect_timeout",
    "max_retries",
    "retry_delay",
    "cache_ttl",
    "error_details",
    "telemetry",
    "state",
)


def _keywords() -> Keywords:
    from unified_llm._config.keywords import DefaultKeywords

    return DefaultKeywords, {}


@show_keywords(_keywords)
def configure(**values: Unpack[DefaultKeywords]) -> None:
    """Set process-wide defaults; ``None`` removes one.

    Args:
        **values: ``timeout`` (seconds for an attempt), ``connect_timeout`` (seconds for each step of making a
            connection), ``max_retries``, ``retry_delay`` (seconds), ``cache_ttl`` (seconds that a model list stays
            fresh); they hold for clients made afterwards. ``error_details`` (at once): True adds the provider's own
            message to that of an exception, where it may quote the prompt. ``telemetry`` (at once): False sends nothing
            to OpenTelemetry; ``"without_usage"`` counts no tokens, for a tracing tool that does and is not recognised;
            True counts them even where a tool is. ``state`` (at once): a Redis URL; breakers, cooldowns and model lists
            are shared with the processes that use the same.

    Raises:
        ConfigurationError: A name is unknown, a value makes no sense, or ``state`` lacks its extra. Nothing is then
            changed.
    """
    given: Hidden[dict[str, Any]] = Hidden({**values})
    del values
    with CLEAR_VARIABLES:
        _configure(given.value)


def _configure(values: dict[str, Any]) -> None:
    from unified_llm._state.redis.url import RedisURL

    if values.get("state") is not None:
        values["state"] = RedisURL(values.pop("state"), "configure(state=...)")
    for name, value in values.items():
        if name not in _KNOWN:
            near = closest(name, _KNOWN)
            hint = f"did you mean {near}?" if near else f"known are {', '.join(_KNOWN)}."
            raise ConfigurationError(f"configure() has no default called {name!r}: {hint}")
        if value is not None and name != "state":  # whose URL has checked itself
            values[name] = defaults.check(name, value, f"configure({name}=...)")
    for name, value in values.items():
        defaults.store(name, value)
    if "state" in values:
        from unified_llm._state import sharing

        sharing.attach()


configure.__module__ = "unified_llm"  # where users import it from
