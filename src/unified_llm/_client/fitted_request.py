"""The request of one attempt: what the caller asked for, in the limits of the target that it is sent to.

The first target of a call gets what the caller wrote. A fallback gets it within its own limits: values beyond a range
are moved to its end, and fields that only the first target's API knows are left out. What changes the answer is never
left out: what a target does not take of it is applied here, to its answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from unified_llm._client.client_side_stop import ClientSideStop
from unified_llm._client.first_call_only import FirstCallOnly
from unified_llm._core.codec import AnyRequest
from unified_llm._core.converted_exchange import Converter
from unified_llm._core.dropped_settings import CHAT_SETTINGS
from unified_llm._core.target import Target
from unified_llm._formats.request_fields import effective, sendable_stops, takes, with_reasoning_drops
from unified_llm._formats.tool_names import renamed_tools
from unified_llm._providers.provider_fields import TEXT_FIELDS, fields_for
from unified_llm.types.requests import CountRequest, EmbeddingRequest, FurtherRequest, LLMRequest, RerankRequest

# The fewest tokens of an answer that a format can ask for (platform.openai.com/docs/api-reference/responses/create; the
# error is integer_below_min_value).
_LEAST_OUTPUT: Final[Mapping[str, int]] = {"openai_responses": 16, "azure_responses": 16}
# Values of reasoning_effort, from the least to the most.
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_WithBody = TypeVar("_WithBody", bound=LLMRequest | EmbeddingRequest | RerankRequest)


@dataclass(frozen=True, slots=True)
class FittedRequest:
    """A request as a target gets it.

    Attributes:
        request: The request to send.
        stop: Stop sequences that are applied here.
        first_call_only: Of several tool calls the first is kept, which is done here.
        adjusted: What differs from the caller's request, for the record of the attempt.
    """

    request: AnyRequest
    stop: tuple[str, ...] = ()
    first_call_only: bool = False
    adjusted: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])

    @property
    def converters(self) -> tuple[Converter, ...]:
        """Return the conversions of the response that replace what the target does not take."""
        stop = (ClientSideStop(self.stop),) if self.stop else ()
        return (*stop, FirstCallOnly()) if self.first_call_only else stop


def needs_no_fit(request: AnyRequest, primary: Target) -> bool:
    """Return whether the target that a request was written for gets it as it is, which is so in nearly all calls."""
    if not isinstance(request, LLMRequest):
        return True
    if primary.format == "wrapped" and primary.defaults:
        return False
    if request.tools and renamed_tools(request, primary.format) is not None:
        return False
    if request.as_text == "preferred" and "as_text" not in primary.features:
        return False
    return not (request.stop or request.parallel_tool_calls is False or "stop" in primary.defaults)


def fit(
    request: AnyRequest, target: Target, primary: Target | None, written_for: str | None = None
) -> FittedRequest | None:
    """Fit a request to a target; return None where the target gets it as it is.

    Args:
        request: The request.
        target: The target.
        primary: The target that the call was written for; None where it is not in the chain.
        written_for: The API of OpenAI that the call was written for, where the primary has another: then it gets the
            request as a fallback does.
    """
    if isinstance(request, LLMRequest):
        return _fit_chat(request, target, primary, written_for)
    if target is primary and written_for is None:
        return None
    if isinstance(request, CountRequest):
        chat, adjusted = _without_unknown_fields(request.chat, target, primary, written_for)
        return FittedRequest(CountRequest(chat), adjusted=adjusted) if adjusted else None
    if isinstance(request, (EmbeddingRequest, RerankRequest)):
        known, adjusted = _without_unknown_fields(request, target, primary, written_for)
        return FittedRequest(known, adjusted=adjusted) if adjusted else None
    if isinstance(request, FurtherRequest):
        from unified_llm._client import fitted_media  # few programs need it

        further, adjusted = fitted_media.fit(request, target, primary)
        return FittedRequest(further, adjusted=adjusted) if adjusted else None
    return None


def _fit_chat(
    request: LLMRequest, target: Target, primary: Target | None, written_for: str | None
) -> FittedRequest | None:
    is_written_for = target is primary and written_for is None
    stop = request.stop or target.defaults.get("stop", ())
    one_call = request.parallel_tool_calls is False and bool(request.tools)
    renamed = renamed_tools(request, target.format) if request.tools else None
    given, request = request, _as_chat(_with_defaults(request, target), target)
    if is_written_for and not (stop or one_call or renamed):
        return None if request is given else FittedRequest(request)
    fitted, adjusted, changes = request, dict[str, Sequence[Any]](), dict[str, Any]()
    sent = sendable_stops(stop, target)
    if not is_written_for:
        if target.format != "wrapped":  # the framework's own arguments are sorted by its adapter
            fitted, adjusted = _without_unknown_fields(request, target, primary, written_for)
        changes = _clamp(request, target)
        adjusted |= {name: [effective(request, name, target), value] for name, value in changes.items()}
        adjusted |= _not_taken(request, target)
        sent = sent[: target.quirks.max_stops]
    kept = tuple(text for text in stop if text not in sent)
    if kept:
        adjusted["stop"] = [len(stop), len(sent) or None]
        if sent:  # else the format leaves it out, also where it is the target's default
            changes["stop"] = sent
    first_call_only = one_call and not takes("parallel_tool_calls", target)
    if first_call_only:
        adjusted["parallel_tool_calls"] = [False, None]
    if renamed is not None:  # by the format, which restores the names in the response
        adjusted["tool_names"] = list(renamed)
    if not adjusted:
        return None if request is given else FittedRequest(request)
    return FittedRequest(replace(fitted, **changes), kept, first_call_only, adjusted)


def _as_chat(request: LLMRequest, target: Target) -> LLMRequest:
    """Return a request for a text, which a target that only has chats gets as a message of one."""
    if request.as_text != "preferred" or "as_text" in target.features:
        return request
    body = {name: value for name, value in request.extra_body.items() if name not in TEXT_FIELDS}
    return replace(request, as_text=False, extra_body=body)


def _with_defaults(request: LLMRequest, target: Target) -> LLMRequest:
    """Return a request to a model object with the target's defaults: formats apply these, an object knows of none."""
    if target.format != "wrapped" or not target.defaults:
        return request
    fields = {name: value for name, value in target.defaults.items() if hasattr(request, name)}
    unset = {name: value for name, value in fields.items() if getattr(request, name) in (None, ())}
    return replace(request, **unset) if unset else request


def _not_taken(request: LLMRequest, target: Target) -> dict[str, Sequence[Any]]:
    """Return a record of the settings that the target does not take, which its format leaves out."""
    effort = effective(request, "reasoning_effort", target)
    target = with_reasoning_drops({} if effort is None else {"reasoning_effort": effort}, target)
    refused = [name for name in CHAT_SETTINGS if not takes(name, target)]
    if "top_p.with_temperature" in target.quirks.drop and effective(request, "temperature", target) is not None:
        refused.append("top_p")
    return {name: [value, None] for name in refused if (value := effective(request, name, target)) is not None}


def _clamp(request: LLMRequest, target: Target) -> dict[str, Any]:
    """Return the fields that are beyond the target's limits, with the nearest value that it takes."""
    changes: dict[str, Any] = {}
    for name, (least, most) in target.quirks.limits.items():
        value = effective(request, name, target)
        if value is not None and not least <= value <= most and takes(name, target):
            changes[name] = least if value < least else most
    effort = effective(request, "reasoning_effort", target)
    if effort is not None and takes("reasoning_effort", target):
        nearest = _nearest_effort(effort, target)
        if nearest != effort:
            changes["reasoning_effort"] = nearest
    penalties = all(effective(request, name, target) for name in ("presence_penalty", "frequency_penalty"))
    if penalties and "presence_penalty.with_frequency_penalty" in target.quirks.drop:
        changes["presence_penalty"] = 0.0
    max_tokens = effective(request, "max_tokens", target)
    if max_tokens is not None:
        allowed = max(min(max_tokens, target.max_output or max_tokens), _LEAST_OUTPUT.get(target.format, 1))
        if allowed != max_tokens:
            changes["max_tokens"] = allowed
    return changes


def _nearest_effort(effort: str, target: Target) -> str:
    """Return the effort that the target takes and that is nearest to the one asked for; of two, the greater one."""
    levels = target.quirks.effort_levels
    if not levels or effort in levels or effort not in _EFFORTS:
        return effort
    wanted = _EFFORTS.index(effort)
    return min(levels, key=lambda level: (abs(_EFFORTS.index(level) - wanted), -_EFFORTS.index(level)))


def _without_unknown_fields(
    request: _WithBody, target: Target, primary: Target | None, written_for: str | None
) -> tuple[_WithBody, dict[str, Sequence[Any]]]:
    """Return the request without the body fields that the target does not know, and a record of these."""
    known = fields_for(target, primary, request, written_for)
    if len(known) == len(request.extra_body):
        return request, {}
    left_out = {name: value for name, value in request.extra_body.items() if name not in known}
    return replace(request, extra_body=known), {name: [_shown(value), None] for name, value in left_out.items()}


def _shown(value: Any) -> Any:
    """Return what a record shows of a value: texts may quote the prompt or name a person."""
    return value if value is None or isinstance(value, (bool, int, float)) else "..."
