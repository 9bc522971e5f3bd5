"""Requests as programs wrote them for an API of OpenAI, for the target that they were written for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from unified_llm._core.codec import WireRequest
from unified_llm._core.dropped_settings import report_dropped
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.history import LONGEST_CALL_ID
from unified_llm._formats.request_fields import effective, post, with_reasoning_drops
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, OriginalFormat, OriginalRequest

APIS: Final[Mapping[OriginalFormat, frozenset[str]]] = {
    "openai_chat": frozenset({"openai_chat", "azure", "huggingface"}),
    "openai_completion": frozenset({"openai_chat", "azure"}),
    "openai_embeddings": frozenset({"openai_chat", "azure", "openai_responses", "azure_responses"}),
    "openai_responses": frozenset({"openai_responses", "azure_responses"}),
}
"""The formats that have each API of OpenAI."""

# Fields that a configuration may set for all calls, and those of each API.
_SAMPLING: Final = (
    "temperature", "top_p", "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty",
)  # fmt: skip
_DEFAULTS: Final[Mapping[OriginalFormat, Mapping[str, str]]] = {
    "openai_chat": {name: name for name in (*_SAMPLING, "reasoning_effort")},
    "openai_completion": {name: name for name in _SAMPLING},
    "openai_embeddings": {"dimensions": "dimensions"},
    "openai_responses": {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_output_tokens"},
}
FORMS: Final = frozenset({
    "messages.name", "messages.reasoning", "messages.content", "tool_choice.none", "tool_choice.function",
})  # fmt: skip
"""What some providers have in a form of their own, by its name in ``Quirks.drop`` and ``rename``."""

# Fields of messages that an answer in OpenAI's shape has where another provider gave it: its state and its reasoning,
# which only that one takes back. The second is one of some servers as well.
_STATE: Final = "provider_state"
_REASONING: Final = "reasoning_content"


def takes_original(request: LLMRequest | EmbeddingRequest, target: Target) -> bool:
    """Return whether a target takes a request as it was written for an API of OpenAI.

    A provider that wants messages, tools or values in another form than OpenAI gets them in that form instead.
    """
    original = request.original
    if original is None or target.format not in APIS[original.format]:
        return False
    if original.format == "openai_completion":
        return "as_text" in target.features
    if original.format != "openai_chat" or not isinstance(request, LLMRequest):
        return True
    if target.quirks.any_model:
        return effective(request, "merge_messages", target) is False
    return not _has_own_form(target.quirks) and not _has_long_id(request)


def _has_own_form(quirks: Quirks) -> bool:
    return (
        bool(quirks.turns or quirks.thinking or quirks.efforts or quirks.tool_id_length)
        or quirks.tool_names
        or quirks.logprobs_count
        or quirks.closed_schemas
        or not FORMS.isdisjoint(quirks.drop)
        or not FORMS.isdisjoint(quirks.rename)
    )


def _has_long_id(request: LLMRequest) -> bool:
    """Return whether an identifier of a tool call, which another provider made, is longer than OpenAI takes."""
    return any(
        len(identifier) > LONGEST_CALL_ID
        for message in request.messages
        if message.tool_call_id or message.tool_calls
        for identifier in (message.tool_call_id or "", *(call.id for call in message.tool_calls))
    )


def write_original(path: str, request: LLMRequest | EmbeddingRequest, target: Target) -> WireRequest:
    """Write a request as the program wrote it, which ``request.original`` has.

    The fields are those of the program, null values and unknown ones included. The model is named as for this target,
    fields that it refuses are left out or renamed, and the target's ``extra_body`` adds those that are not there.
    """
    original = cast("OriginalRequest", request.original)
    body = {**target.quirks.send, **target.extra_body, **_defaults_of(original, target), **original.body}
    if "messages" in body:
        body["messages"] = _without_ours(body["messages"], is_known=not target.quirks.any_model)
    stream = isinstance(request, LLMRequest) and request.stream
    return post(path, {**_fitting(body, target), "model": target.model}, target, stream=stream)


def _defaults_of(original: OriginalRequest, target: Target) -> dict[str, Any]:
    """Return what the target's configuration sets for calls that do not, by the names of the API."""
    names, body = _DEFAULTS[original.format], original.body
    if "max_completion_tokens" in body:
        names = {name: field for name, field in names.items() if name != "max_tokens"}
    defaults = {names[name]: value for name, value in target.defaults.items() if name in names}
    if original.format == "openai_responses" and (effort := target.defaults.get("reasoning_effort")):
        defaults["reasoning"] = {"effort": effort}
    return defaults


def _fitting(body: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Return the body without the fields that the model is known to refuse, and with its own names for others."""
    reasoning: Any = body.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, Mapping) else body.get("reasoning_effort")
    target = with_reasoning_drops({} if effort is None else {"reasoning_effort": effort}, target)
    # The form of vectors is the program's choice; both are read.
    dropped = target.quirks.drop - {"encoding_format"}
    renamed = target.quirks.rename if target.reasoning else {}  # others take either name
    for name in body.keys() & dropped:
        if body[name] is not None:
            report_dropped(name, target.name, "which does not take it")
    return {renamed.get(name, name): value for name, value in body.items() if name not in dropped}


def _without_ours(messages: Any, *, is_known: bool) -> Any:
    """Return messages without what only another provider takes back.

    Args:
        messages: The messages.
        is_known: Whether the provider is known to take no reasoning: those that do have a form of their own.
    """
    if not isinstance(messages, Sequence):
        return messages
    if not any(_STATE in message or (is_known and _REASONING in message) for message in messages):
        return messages
    return [
        {name: message[name] for name in message if name not in {_STATE, _REASONING}}
        if is_known or _STATE in message
        else message
        for message in messages
    ]
