"""Options of one call that stand for fields of its targets: retries, the API key, the URL, the fallbacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm._config.call_targets import CallTargets
from unified_llm._config.checked_field import attempt
from unified_llm._config.llm_config import LLMConfig, read_fallbacks
from unified_llm._core.api_key import Secret
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.redaction import hide_keys
from unified_llm.exceptions import ValidationError

# Fields of a configuration, and those of ``RetryLimits`` that they become.
_RETRIES: Final[Mapping[str, str]] = {
    "max_retries": "limit",
    "retry_delay": "delay",
    "retry_max_delay": "delay_max",
    "retry_exponential_base": "factor",
}


def read(given: dict[str, Any]) -> dict[str, Any]:
    """Read the options that stand for fields of targets; None stands for what was configured.

    Returns:
        ``retries`` and ``named_targets`` of ``CallOptions``.

    Raises:
        ValidationError: A number makes no sense.
        ConfigurationError: The key, the URL or a fallback is wrong.
    """
    retries = {name: given[name] for name in _RETRIES if given.get(name) is not None}
    return {"retries": _read_retries(retries) if retries else {}, "named_targets": _read_targets(given)}


def _read_retries(given: Mapping[str, Any]) -> dict[str, Any]:
    checked, problem = attempt(lambda: LLMConfig(**given))
    if problem is not None:
        raise ValidationError(problem)
    return {_RETRIES[name]: getattr(checked, name) for name in given}


def _read_targets(given: dict[str, Any]) -> CallTargets | None:
    hide_keys(given)
    key, base_url, fallbacks = (given.get(name) for name in ("api_key", "base_url", "fallbacks"))
    if key is None and base_url is None and fallbacks is None:
        return None
    return CallTargets(
        api_key=key if isinstance(key, (Secret, KeyCallable)) else None,
        base_url=None if base_url is None else LLMConfig(base_url=base_url).base_url,
        fallbacks=None if fallbacks is None else read_fallbacks(fallbacks),
    )
