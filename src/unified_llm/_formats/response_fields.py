"""Fields of responses in all formats: tool calls, log probabilities, provider state, model lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.response_limits import MAX_CALLS, OversizedResponseError
from unified_llm._core.target import Target
from unified_llm._formats import custom_tools
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_list, is_object, json_text, object_or_empty, text_or_none
from unified_llm._lib.bounded_json import JSONError, dump, finite
from unified_llm.types.messages import ProviderState, ToolCall
from unified_llm.types.responses import ModelInfo, TokenLogprob

_MAX_MODELS: Final = 50_000


def read_calls(
    calls: object, identifiers: Identifiers, make_id: Callable[[int], str] | None = None
) -> Iterator[ToolCall]:
    """Read whole calls in OpenAI's shape, which Cohere and Ollama use as well.

    Args:
        calls: What should be a list of calls.
        identifiers: Call identifiers of the response so far.
        make_id: Makes an identifier from a call's number, for calls without one.

    Raises:
        OversizedResponseError: There are more calls than are accepted; none was read.
    """
    if is_list(calls) and len(calls) > MAX_CALLS:
        raise OversizedResponseError
    for call in calls if is_list(calls) else ():
        known = object_or_empty(call)
        is_custom = is_object(known.get("custom"))
        function = known["custom"] if is_custom else known.get("function")
        if is_object(function):
            identifier = identifiers.take(known.get("id"), make_id(len(identifiers)) if make_id else None)
            name = text_or_none(function.get("name")) or ""
            if is_custom:
                arguments = custom_tools.arguments_of(text_or_none(function.get("input")) or "")
            else:
                arguments = json_text(function.get("arguments"))
            yield ToolCall.parse(identifier, name, arguments)


def read_logprobs(tokens: object) -> tuple[TokenLogprob, ...]:
    """Read log probabilities in the shape of OpenAI's two formats and Ollama, of a whole text or of one chunk."""
    logprobs: list[TokenLogprob] = []
    for token in tokens if is_list(tokens) else ():
        for pair in _token_pair(token):
            top = token.get("top_logprobs")
            alternatives = tuple(other for entry in (top if is_list(top) else ()) for other in _token_pair(entry))
            logprobs.append(TokenLogprob(*pair, alternatives))
    return tuple(logprobs)


def _token_pair(entry: object) -> Iterator[tuple[str, float]]:
    """Yield a token and its log probability if the entry has both."""
    if (
        is_object(entry)
        and isinstance(entry.get("token"), str)
        and (number := finite(entry.get("logprob"))) is not None
    ):
        yield entry["token"], number


def keep_state(data: Mapping[str, Any], target: Target) -> ProviderState | None:
    """Return provider state for the history; None if it cannot be serialised again (an oversized number)."""
    try:
        dump(data)
    except JSONError:
        return None
    return ProviderState(target.provider, target.format, data)


def unusable_vectors(rows: object, texts: int) -> Failure:
    """Return the failure for a response without one usable vector for each text.

    Some servers leave out blank texts, or write null where a model computed no number (ollama/ollama PR #5713, #9639).
    """
    if not is_list(rows) or len(rows) > texts:
        return Failure("malformed")
    has_null = any(vector is None or (is_list(vector) and None in vector) for vector in rows)
    return Failure("malformed", about_input=len(rows) < texts or has_null)


def read_page(
    items: object, read: Callable[[dict[str, Any]], ModelInfo | None], cursor: str | None = None
) -> Done | Failure:
    """Read a page of a list of models: ``(models, cursor)``.

    Models without a name are skipped; a page that has only such models is malformed. A page of more than 50,000 models
    is refused, since the deadline is not looked at while they are read.

    Args:
        items: What should be the list.
        read: Reads one model, or returns None if it has no name.
        cursor: Cursor of the next page, None on the last.
    """
    if not is_list(items):
        return Failure("malformed")
    if len(items) > _MAX_MODELS:
        return Failure("oversized", detail=f"More than {_MAX_MODELS} models in one response.")
    models = tuple(model for item in items if is_object(item) and (model := read(item)))
    return Failure("malformed") if items and not models else Done((models, cursor))
