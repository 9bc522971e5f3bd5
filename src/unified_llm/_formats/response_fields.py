"""What the readers of all formats have in common: calls, log probabilities, reasons, sealing, lists of models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_list, is_object, json_text, text_or_none
from unified_llm._lib.bounded_json import JSONError, dump, finite
from unified_llm.types.messages import ProviderState, ToolCall
from unified_llm.types.responses import FinishReason, ModelInfo, TokenLogprob

log = logging.getLogger("unified_llm")


def finish_reason(
    said: object, meanings: Mapping[str, FinishReason], target: Target, *, has_calls: bool
) -> FinishReason:
    """One of our four, by what the words of a format mean; an unknown one is a ``stop``, as is none at all.

    Several providers say ``stop`` when they called tools, and ``tool_calls`` when they called none.
    """
    known = meanings.get(said) if isinstance(said, str) else None
    if known is None and said is not None:
        log.debug("%s gave a finish reason that is not known; it is read as stop", target.name)
    if known is None or known in {"stop", "tool_calls"}:
        return "tool_calls" if has_calls else "stop"
    return known


def read_calls(calls: object, identifiers: Identifiers, made: Callable[[int], str] | None = None) -> Iterator[ToolCall]:
    """Whole calls in OpenAI's shape, which Cohere and Ollama have as well.

    Args:
        calls: What should be a list of them.
        identifiers: Those of the answer so far.
        made: Makes a name of a call's number, for those that the provider does not name.
    """
    for call in calls if is_list(calls) else ():
        function = call.get("function") if is_object(call) else None
        if is_object(function):
            identifier = identifiers.take(call.get("id"), made(len(identifiers)) if made else None)
            name = text_or_none(function.get("name")) or ""
            yield ToolCall.from_text(identifier, name, json_text(function.get("arguments")))


def read_logprobs(tokens: object) -> tuple[TokenLogprob, ...]:
    """Log probabilities as OpenAI's two formats and Ollama list them, of a whole text or of what is new in a stream."""
    read: list[TokenLogprob] = []
    for each in tokens if is_list(tokens) else ():
        for pair in _token(each):
            likeliest = each.get("top_logprobs")
            top = tuple(other for one in (likeliest if is_list(likeliest) else ()) for other in _token(one))
            read.append(TokenLogprob(*pair, top))
    return tuple(read)


def _token(said: object) -> Iterator[tuple[str, float]]:
    """A token and its log probability, if it is one."""
    if is_object(said) and isinstance(said.get("token"), str) and (number := finite(said.get("logprob"))) is not None:
        yield said["token"], number


def keep_state(data: Mapping[str, Any], target: Target) -> ProviderState | None:
    """For the history; None where it could not be written into a request again (a number beyond all bounds)."""
    try:
        dump(data)
    except JSONError:
        return None
    return ProviderState(target.provider, target.format, data)


def read_page(
    items: object, read: Callable[[dict[str, Any]], ModelInfo | None], cursor: str | None = None
) -> Done | Failure:
    """A page of a list of models: ``(models, cursor)``. One without a name is none; a page of these alone is no page.

    Args:
        items: What should be the list.
        read: Reads one model, or returns None where it has no name.
        cursor: Names the next page, None on the last.
    """
    if not is_list(items):
        return Failure("malformed")
    models = tuple(model for item in items if is_object(item) and (model := read(item)))
    return Failure("malformed") if items and not models else Done((models, cursor))
