"""Model objects of a framework as targets, with the settings that the user wrote beside the first one.

An object keeps its own configuration: key, address, headers, body. The timeout of the chain applies to each object; its
sampling, retries and breaker to the object that is the primary, as the arguments of a call would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from unified_llm._config import timeouts
from unified_llm._config.field_groups import CALL_FIELDS, DEFAULT_FIELDS
from unified_llm._config.llm_config import LLMConfig
from unified_llm._core.exchange import WrappedModel
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import BreakerConfig, RetryLimits, Target, Timing
from unified_llm._providers import models, registry
from unified_llm.exceptions import ConfigurationError

# Settings that may stand beside an object; any other is one of the object itself.
_BESIDE: Final = frozenset({*CALL_FIELDS, "context_window", "fallbacks", "name", "rpm", "tpm"})


@dataclass(frozen=True, slots=True)
class PrimaryObject:
    """A model object as the first target of a chain.

    Attributes:
        model: The wrapped object.
        settings: What the user wrote beside it; a configuration without a model.
    """

    model: WrappedModel
    settings: LLMConfig

    @classmethod
    def read(cls, model: WrappedModel, fields: Mapping[str, Any]) -> PrimaryObject:
        """Read the fields that stand beside an object.

        Raises:
            ConfigurationError: One of them is a setting of the object, or its value makes no sense.
        """
        known = LLMConfig.model_fields
        given = {name for name, value in fields.items() if name not in known or value != known[name].default}
        wrong = sorted(given - _BESIDE)
        if wrong:
            raise ConfigurationError(
                f"{', '.join(wrong)} cannot stand beside a model object, which has its own: set it there, or write a "
                "model string in place of the object."
            )
        return cls(model, LLMConfig(**{name: value for name, value in fields.items() if name in given}))


def is_wrapped(given: object) -> TypeGuard[WrappedModel]:
    """Return whether something is a wrapped model object."""
    return hasattr(given, "exchange") and hasattr(given, "aexchange") and not isinstance(given, type)


def target_of(model: WrappedModel, settings: LLMConfig, *, is_primary: bool) -> Target:
    """Return the target for a model object.

    Args:
        model: The wrapped object.
        settings: The configuration of the primary, or what stands beside it.
        is_primary: The object is the primary itself.
    """
    quirks: Quirks = getattr(model, "quirks", None) or Quirks()
    defaults: dict[str, Any] = {}
    if is_primary:
        defaults = {name: value for name in DEFAULT_FIELDS if (value := getattr(settings, name)) not in (None, ())}
    thinking = timeouts.thinking_of(defaults.get("reasoning_effort"), quirks, getattr(model, "thinking", {}))
    vendor = registry.find_by_langsmith_name(getattr(model, "vendor", ""))
    known = models.find(vendor.name if vendor else "", model.model)
    reasoning = thinking != "unknown" or (known is not None and known.reasoning)
    # The object ends its own request after its own timeout: no limit here is shorter by default.
    own: float = getattr(model, "timeout", None) or 0.0
    least = Timing(first_token=own, last_first_token=own, whole=own)
    usual = timeouts.longest(timeouts.by_kind(vendor, model.model, thinking, reasoning=reasoning), least)
    window = settings.context_window if is_primary else None
    return Target(
        model.provider,
        model.model,
        "wrapped",
        features=model.features,
        quirks=quirks,
        context_window=window or model.context_window,
        window_declared=window is not None,
        reasoning=reasoning,
        timing=timeouts.timing(settings, usual),
        retry=timeouts.retry_limits(settings) if is_primary else RetryLimits(),
        breaker=settings.breaker if is_primary else BreakerConfig(),
        rpm=settings.rpm if is_primary else None,
        tpm=settings.tpm if is_primary else None,
        defaults=defaults,
        label=settings.name if is_primary else None,
        instance=model,
    )
