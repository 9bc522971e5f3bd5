"""Timeouts and retry limits of targets: those of the configuration, else those of the kind of target.

A default timeout depends on how long a healthy target may be silent. What is known beforehand is decided here, once
for a client: the kind of target, and how hard its configuration lets it think; what a request says of thinking is
decided once for a call. The policy adds what it knows at the moment of an attempt: whether another target is ready,
and whether a local model has to be loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from unified_llm._config.llm_config import LLMConfig
from unified_llm._core.codec import AnyRequest
from unified_llm._core.pairs import conflicts
from unified_llm._core.quirks import Quirks
from unified_llm._core.seconds import FOREVER
from unified_llm._core.target import RetryLimits, Target, Timing
from unified_llm._formats.request_fields import effective
from unified_llm._providers import models, registry
from unified_llm._providers.provider_fields import fields_for
from unified_llm._providers.spec import ProviderSpec
from unified_llm.types.requests import FurtherRequest, LLMRequest

Thinking: TypeAlias = Literal["unknown", "some", "hard"]
"""How hard a model was asked to think."""

# Seconds.
_CONNECT: Final = 5.0
_LOADING: Final = 300.0  # a local server may have to load the model first


class _Limits(NamedTuple):
    """Default limits of a kind of target, in seconds; ``Timing`` explains them."""

    first_token: float
    last_first_token: float
    whole: float


_USUAL: Final = _Limits(20.0, 30.0, 60.0)
_REASONING: Final = _Limits(60.0, 180.0, 180.0)
_HARD: Final = _Limits(300.0, 300.0, FOREVER)
_LOCAL: Final = _Limits(60.0, 300.0, 180.0)

# Names of body fields, in lower case and without underscores: Anthropic's thinking.budget_tokens and
# output_config.effort, Gemini's thinkingConfig (thinkingBudget, thinkingLevel), Cohere's thinking.token_budget,
# OpenAI's and OpenRouter's reasoning (effort, max_tokens), Qwen's thinking_budget and enable_thinking, vLLM's
# thinking_token_budget, Ollama's think, and thinking.type of Anthropic, DeepSeek, Z.ai and Moonshot.
_BUDGETS: Final = frozenset({"budgettokens", "thinkingbudget", "tokenbudget", "thinkingtokenbudget"})
_EFFORTS: Final = frozenset({"effort", "reasoningeffort", "thinkinglevel", "think", "enablethinking"})
_SECTIONS: Final = frozenset({"reasoning", "thinking"})
_HARD_EFFORTS: Final = frozenset({"high", "xhigh", "max"})
_NO_EFFORTS: Final = frozenset({"none", "disabled", "off"})
# Levels of a body that are searched for these.
_DEPTH: Final = 4


def timing(config: LLMConfig, usual: Timing) -> Timing:
    """Choose the limits of an attempt: the user's ``timeout`` and ``connect_timeout``, else what is usual."""
    timeout = config.timeout
    connect = _CONNECT if config.connect_timeout is None else config.connect_timeout
    if timeout is not None:
        return Timing(connect, first_token=timeout, whole=timeout, fixed=True)
    return replace(usual, connect=connect)


def by_kind(spec: ProviderSpec | None, model: str, thinking: Thinking, *, reasoning: bool) -> Timing:
    """Return the default limits for a model: each is the longest of those of the kinds that it belongs to.

    Args:
        spec: Its provider's row, where there is one.
        model: As the provider names it.
        thinking: How hard it was asked to think.
        reasoning: It thinks without being asked.
    """
    local = spec is not None and spec.local
    kinds = [_USUAL]
    if local:
        kinds.append(_LOCAL)
    if reasoning or thinking != "unknown":
        kinds.append(_REASONING)
    if thinking == "hard" or models.is_slow(model, reasoning=reasoning):
        kinds.append(_HARD)
    limits = _Limits(*map(max, zip(*kinds, strict=True)))
    if spec is not None and spec.first_token is not None:
        limits = limits._replace(first_token=spec.first_token, last_first_token=spec.first_token)
    return Timing(
        first_token=limits.first_token,
        last_first_token=limits.last_first_token,
        whole=limits.whole,
        cold=_LOADING if local else 0.0,
    )


def longest(one: Timing, other: Timing) -> Timing:
    """Return the longer of each limit of two kinds of target."""
    names = ("first_token", "last_first_token", "whole", "cold")
    return replace(one, **{name: max(getattr(one, name), getattr(other, name)) for name in names})


def for_call(
    chain: Sequence[Target], request: AnyRequest, timeout: float | None, retries: Mapping[str, Any]
) -> Sequence[Target]:
    """Return the targets of a call with its limits.

    Args:
        chain: The targets.
        request: The request.
        timeout: Seconds for each attempt; None for what is usual.
        retries: Fields of ``RetryLimits`` that the call changes.
    """
    if timeout is not None:
        limit: dict[str, Any] = {"first_token": timeout, "whole": timeout, "fixed": True, "of_call": True}
        chain = [replace(target, timing=replace(target.timing, **limit)) for target in chain]
    elif isinstance(request, LLMRequest) and (request.reasoning_effort is not None or request.extra_body):
        chain = [for_request(target, request, chain[0]) for target in chain]
    elif isinstance(request, FurtherRequest):
        from unified_llm._config import media_timeouts  # few programs need it

        chain = [media_timeouts.for_request(target, request) for target in chain]
    if retries:
        chain = [replace(target, retry=replace(target.retry, **retries)) for target in chain]
    if isinstance(request, LLMRequest) and request.stream and request.tools:
        chain = [_with_time_for_all(target, request) for target in chain]
    return chain


def _with_time_for_all(target: Target, request: LLMRequest) -> Target:
    """Return a target that is asked for a whole response, which takes longer than its first token, with that time."""
    if "tools with streaming" not in conflicts(request, target):
        return target
    return replace(target, timing=replace(target.timing, streams=False))


def for_request(target: Target, request: LLMRequest, primary: Target) -> Target:
    """Return the target with the default limits for a request that says how hard the model shall think.

    Args:
        target: The target.
        request: The request.
        primary: The target that the call was written for, whose API alone knows some body fields.
    """
    body = fields_for(target, primary, request)
    if target.timing.fixed or (request.reasoning_effort is None and not body):
        return target
    thinking = thinking_of(effective(request, "reasoning_effort", target), target.quirks, {**target.extra_body, **body})
    limits = by_kind(registry.find(target.provider), target.model, thinking, reasoning=target.reasoning)
    limits = replace(limits, connect=target.timing.connect)
    if target.format == "wrapped":  # the object has settings of its own
        limits = longest(limits, target.timing)
    if limits == target.timing:
        return target
    return replace(target, timing=replace(limits, of_call=True), reasoning=target.reasoning or thinking != "unknown")


def thinking_of(effort: str | None, quirks: Quirks, body: Mapping[str, Any]) -> Thinking:
    """Return how hard a model is asked to think: by a ``reasoning_effort`` that it takes, by fields of any provider."""
    taken = effort if "reasoning_effort" not in quirks.drop else None
    return _read_thinking({**body, "reasoning_effort": taken} if taken else body, _DEPTH)


def _read_thinking(body: Mapping[str, Any], depth: int) -> Thinking:
    levels: list[Thinking] = []
    for key, value in body.items():
        name = str(key).replace("_", "").lower()
        if isinstance(value, Mapping):
            if depth:
                levels.append(_read_thinking(_named_fully(name, value), depth - 1))
        elif name in _BUDGETS:
            levels.append("hard" if isinstance(value, int) and value else "unknown")
        elif name in _EFFORTS or name in _SECTIONS:
            levels.append(_read_effort(value))
    return "hard" if "hard" in levels else "some" if "some" in levels else "unknown"


def _named_fully(section: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a section on reasoning, those renamed that mean something else outside of it."""
    if section not in _SECTIONS:
        return fields
    names = {"max_tokens": "budget_tokens", "type": "effort", "enabled": "effort"}
    return {names.get(name, name): value for name, value in fields.items()}


def _read_effort(value: Any) -> Thinking:
    """Return what a level means, or a switch: whatever is not the least is some."""
    if not value or (isinstance(value, str) and value.lower() in _NO_EFFORTS):
        return "unknown"
    return "hard" if isinstance(value, str) and value.lower() in _HARD_EFFORTS else "some"


def retry_limits(config: LLMConfig) -> RetryLimits:
    """Choose how often and how soon a target is retried."""
    return RetryLimits(
        limit=config.max_retries,
        delay=config.retry_delay,
        delay_max=config.retry_max_delay,
        factor=config.retry_exponential_base,
    )
