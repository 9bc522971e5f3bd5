"""Timeouts and retry limits of targets: the configuration, ``configure()``, the environment, the kind of target."""

from __future__ import annotations

from typing import Final

from unified_llm._config.llm_config import LLMConfig
from unified_llm._core.defaults import default
from unified_llm._core.target import RetryLimits, Timing
from unified_llm._providers.spec import ProviderSpec

# Seconds.
_CONNECT: Final = 5.0
_LOCAL: Final = 300.0  # the server may have to load a model first
_REASONING: Final = 180.0
_WHOLE: Final = 60.0
_WHOLE_SLOW: Final = 300.0


def timing(config: LLMConfig, spec: ProviderSpec, *, reasoning: bool) -> Timing:
    """Choose the limits of an attempt: the user's ``timeout`` and ``connect_timeout``, else by the kind of target."""
    timeout = config.timeout if config.timeout is not None else default("timeout")
    connect = config.connect_timeout if config.connect_timeout is not None else default("connect_timeout")
    connect = _CONNECT if connect is None else connect
    if timeout is not None:
        return Timing(connect, first_token=timeout, whole=timeout, fixed=True)
    if spec.local:
        return Timing(connect, first_token=_LOCAL, whole=_WHOLE_SLOW)
    if reasoning:
        return Timing(connect, first_token=_REASONING, whole=_WHOLE_SLOW)
    return Timing(connect, first_token=spec.first_token, whole=_WHOLE)


def retry_limits(config: LLMConfig) -> RetryLimits:
    """Choose how often and how soon a target is retried: by the configuration, ``configure()``, the environment."""
    limit = config.max_retries if config.max_retries is not None else default("max_retries")
    delay = config.retry_delay if "retry_delay" in config.model_fields_set else default("retry_delay")
    return RetryLimits(
        limit=limit,
        delay=config.retry_delay if delay is None else delay,
        delay_max=config.retry_max_delay,
        factor=config.retry_exponential_base,
    )
