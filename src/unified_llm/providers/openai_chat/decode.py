"""Whole answers: what a provider's JSON means, however it departs from OpenAI's.

Nothing here raises for what a provider sends. What cannot be read as an answer is a ``Failure``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from unified_llm.jsonx import JSONError, dump
from unified_llm.messages import ToolCall
from unified_llm.outcome import Done, Failure
from unified_llm.providers.numbers import count, read_vector
from unified_llm.providers.openai_errors import read_error
from unified_llm.providers.shapes import is_list, is_object, object_or_empty, text_or_none
from unified_llm.target import Quirks, Target
from unified_llm.types import EmbeddingRequest, EmbeddingResponse, FinishReason, LLMResponse, ModelInfo, Usage

log = logging.getLogger("unified_llm")

_FINISH: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",  # Together
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",  # Mistral
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# The provider gave up in the middle: OpenRouter and Mistral, DeepSeek.
_BROKEN_OFF: Final = ("error", "insufficient_system_resource")
_WINDOWS: Final = ("context_length", "context_window", "max_model_len", "max_context_length")


def read_chat(body: object, target: Target) -> Done | Failure:
    """The answer of ``/chat/completions``."""
    answer = _answer(body, target)
    if isinstance(answer, Failure):
        return answer
    choices = answer.get("choices")
    choice = object_or_empty(choices[0]) if is_list(choices) and choices else {}
    message = choice.get("message")
    if not is_object(message):
        return broken_off(choice, target) or Failure("empty")
    broken = broken_off(choice, target)
    if broken is not None:
        return broken
    content, reasoning = read_content(message)
    calls = tuple(_tool_calls(message))
    refusal = text_or_none(message.get("refusal"))
    reason = finish_reason(choice.get("finish_reason"), target, has_calls=bool(calls))
    if reason in {"stop", "tool_calls"} and not (content or reasoning or calls or refusal):
        return Failure("empty")
    return Done(
        LLMResponse(
            content=content,
            model=text_or_none(answer.get("model")) or target.model,
            provider=target.provider,
            finish_reason=reason,
            response_id=text_or_none(answer.get("id")),
            usage=read_usage(answer, target.quirks),
            tool_calls=calls,
            reasoning=reasoning or None,
            refusal=refusal,
            raw=answer,
        )
    )


def read_embeddings(ask: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/embeddings``: as many vectors as there were texts, in their order, all of one length."""
    answer = _answer(body, target)
    if isinstance(answer, Failure):
        return answer
    rows = answer.get("data")
    vectors: dict[int, list[float]] = {}
    for position, each in enumerate(rows if is_list(rows) else ()):
        row = object_or_empty(each)
        index, vector = row.get("index", position), read_vector(row.get("embedding"))
        if vector is not None and isinstance(index, int):
            vectors[index] = vector
    wanted = range(len(ask.texts))
    if sorted(vectors) != list(wanted) or len({len(vector) for vector in vectors.values()}) > 1:
        return Failure("malformed")
    model = text_or_none(answer.get("model")) or target.model
    usage = read_usage(answer, target.quirks)
    return Done(EmbeddingResponse([vectors[index] for index in wanted], model, target.provider, usage))


def read_models(body: object, target: Target) -> Done | Failure:
    """The answer of ``/models``: ``(models, cursor)``. Together sends a bare list, others name it data or models."""
    answer = {"data": body} if _is_bare_list(body) else _answer(body, target)
    if isinstance(answer, Failure):
        return answer
    items = answer["data"] if "data" in answer else answer.get("models")
    if not is_list(items):
        return Failure("malformed")
    models = tuple(_model(item, target.provider) for item in items if is_object(item) and _model_id(item))
    if items and not models:
        return Failure("malformed")
    cursor = text_or_none(answer.get("last_id")) if answer.get("has_more") is True else None
    return Done((models, cursor))


def _is_bare_list(body: object) -> bool:
    """Whether it is a list of models, and not the list of one error that Google sends."""
    return is_list(body) and not (len(body) == 1 and "error" in object_or_empty(body[0]))


def _answer(body: object, target: Target) -> dict[str, Any] | Failure:
    """The body if it is one, rather than an error at status 200 or no JSON object at all."""
    if is_list(body) and len(body) == 1:
        body = body[0]
    if not is_object(body):
        return Failure("malformed")
    if body.get("error") or body.get("object") == "error":
        return read_error(body, target)
    return body


def read_content(message: Mapping[str, Any]) -> tuple[str, str]:
    """Text and visible reasoning of a message or a delta. Mistral sends both in one list of parts."""
    content = message.get("content")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    text = content if isinstance(content, str) else ""
    thoughts = reasoning if isinstance(reasoning, str) else ""
    if is_list(content):
        text = "".join(_texts(content, "text"))
        thoughts += "".join(
            thought
            for part in content
            if is_object(part) and part.get("type") == "thinking"
            for thought in _texts(part.get("thinking"), "text")
        )
    return text, thoughts


def _texts(parts: object, kind: str) -> Iterator[str]:
    if isinstance(parts, str):
        yield parts
    elif is_list(parts):
        for part in parts:
            if is_object(part) and part.get("type") == kind and isinstance(part.get("text"), str):
                yield part["text"]


def _tool_calls(message: Mapping[str, Any]) -> Iterator[ToolCall]:
    calls = message.get("tool_calls")
    if not calls and is_object(message.get("function_call")):
        calls = [{"function": message["function_call"]}]  # what OpenAI sent before there were tools
    for number, call in enumerate(calls if is_list(calls) else ()):
        function = call.get("function") if is_object(call) else None
        if is_object(function):
            identifier = text_or_none(call.get("id")) or f"call_{number}"
            yield ToolCall.from_text(identifier, str(function.get("name") or ""), arguments_text(function))


def arguments_text(function: Mapping[str, Any]) -> str:
    """The arguments as text; some servers send the object itself."""
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        return arguments
    try:
        return "" if arguments is None else dump(arguments)
    except JSONError:  # such as an integer of 5,000 digits; a text that is no JSON is reported as the model's mistake
        return "(unreadable)"


def broken_off(choice: Mapping[str, Any], target: Target) -> Failure | None:
    """What a choice says that ended because the provider failed."""
    if is_object(choice.get("error")):
        return read_error(choice, target)
    reason = choice.get("finish_reason")
    return Failure("server", code=reason) if isinstance(reason, str) and reason in _BROKEN_OFF else None


def finish_reason(said: object, target: Target, *, has_calls: bool) -> FinishReason:
    """One of our four. Several providers say ``stop`` when they called tools; an unknown reason is a ``stop``."""
    known = _FINISH.get(said) if isinstance(said, str) else None
    if known is None and said is not None:
        log.debug("%s gave a finish reason that is not known; it is read as stop", target.name)
    reason = known or "stop"
    return "tool_calls" if has_calls and reason == "stop" else reason


def read_usage(body: Mapping[str, Any], quirks: Quirks) -> Usage | None:
    """Tokens counted in our one way, or None where the provider says nothing. What is missing or negative counts 0."""
    usage = body.get("usage")
    if not is_object(usage) or not usage:
        return None
    before = object_or_empty(usage.get("prompt_tokens_details"))
    after = object_or_empty(usage.get("completion_tokens_details"))
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    total = count(usage.get("total_tokens"))
    reasoning = count(after.get("reasoning_tokens")) or count(usage.get("reasoning_tokens"))
    if quirks.get("reasoning_apart") and (total == 0 or total >= prompt + completion + reasoning):
        completion += reasoning
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total or prompt + completion,
        # DeepSeek and Moonshot have names of their own for what the cache gave.
        cached_tokens=count(before.get("cached_tokens"))
        or count(usage.get("prompt_cache_hit_tokens"))
        or count(usage.get("cached_tokens")),
        cache_write_tokens=count(before.get("cache_write_tokens")),
        reasoning_tokens=reasoning,
        audio_tokens=count(before.get("audio_tokens")),
        audio_output_tokens=count(after.get("audio_tokens")),
    )


def _model_id(item: Mapping[str, Any]) -> str | None:
    return text_or_none(item.get("id")) or text_or_none(item.get("name")) or text_or_none(item.get("model"))


def _model(item: Mapping[str, Any], provider: str) -> ModelInfo:
    windows = (count(item.get(name)) for name in _WINDOWS)
    return ModelInfo(
        id=(_model_id(item) or "").removeprefix("models/"),  # Google's own way to write them
        provider=provider,
        owned_by=text_or_none(item.get("owned_by")) or text_or_none(item.get("organization")),
        created=count(item.get("created")) or None,
        context_window=next((window for window in windows if window), None),
    )
