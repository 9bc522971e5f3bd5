"""Whole answers: what the JSON of Ollama's server means. Nothing here raises for what a server sends."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

from unified_llm.jsonx import finite
from unified_llm.messages import Sealed, ToolCall
from unified_llm.outcome import Done, Failure
from unified_llm.providers.numbers import count, read_vector
from unified_llm.providers.ollama.errors import read_error
from unified_llm.providers.shapes import is_list, is_object, json_text, object_or_empty, text_or_none
from unified_llm.target import Target
from unified_llm.types import (
    EmbeddingRequest,
    EmbeddingResponse,
    FinishReason,
    LLMResponse,
    ModelInfo,
    TokenLogprob,
    Usage,
)

log = logging.getLogger("unified_llm")

# What a model of each capability can be asked for (types/model/capability.go), in the words of our table.
_FEATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "completion": ("streaming", "json_object", "json_schema", "as_text"),
    "tools": ("tools",),
    "vision": ("images",),
    "audio": ("audio",),
    "embedding": ("embeddings",),
    "thinking": ("reasoning",),
}


def read_chat(body: object, target: Target) -> Done | Failure:
    """The answer of ``/api/chat`` or ``/api/generate``."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    message = read_message(answer)
    if message is None:
        return Failure("malformed")
    if answer.get("done") is not True:
        return Failure("truncated")
    content, thinking = read_text(message)
    calls = tuple(read_calls(message, text_or_none(answer.get("created_at")) or ""))
    end = read_end(answer, target, spoke=bool(content or thinking or calls), has_calls=bool(calls))
    if isinstance(end, Failure):
        return end
    return Done(
        LLMResponse(
            content=content,
            model=text_or_none(answer.get("model")) or target.model,
            provider=target.provider,
            finish_reason=end,
            usage=read_usage(answer),
            tool_calls=calls,
            reasoning=thinking or None,
            logprobs=read_logprobs(answer),
            sealed=seal(thinking, target, has_calls=bool(calls)),
            raw=answer,
        )
    )


def read_message(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """The message of an answer or of a line; a continued text has its parts in other places."""
    if "response" in answer:
        return {"content": answer["response"], "thinking": answer.get("thinking")}
    message = answer.get("message")
    return message if is_object(message) else None


def read_text(message: Mapping[str, Any]) -> tuple[str, str]:
    """Text and visible reasoning."""
    return text_or_none(message.get("content")) or "", text_or_none(message.get("thinking")) or ""


def read_calls(message: Mapping[str, Any], made_at: str, first: int = 0) -> Iterator[ToolCall]:
    """The calls of a message. Older servers give no identifiers: one is made from the time and the call's number."""
    calls = message.get("tool_calls")
    for number, call in enumerate(calls if is_list(calls) else (), first):
        function = call.get("function") if is_object(call) else None
        if is_object(function):
            made = f"call_{sha256(f'{made_at} {number}'.encode(errors='replace')).hexdigest()[:16]}"
            identifier = text_or_none(call.get("id")) or made
            yield ToolCall.from_text(identifier, str(function.get("name") or ""), json_text(function.get("arguments")))


def read_end(answer: Mapping[str, Any], target: Target, *, spoke: bool, has_calls: bool) -> FinishReason | Failure:
    """Why it ended. To have loaded or unloaded a model is no answer; an unknown reason is a ``stop``."""
    reason = answer.get("done_reason") or "stop"
    if reason == "length":
        return "length"
    if reason in {"load", "unload"} or not spoke:
        return Failure("empty", code=reason if reason in {"load", "unload"} else None)
    if reason != "stop":
        log.debug("%s gave a finish reason that is not known; it is read as stop", target.name)
    return "tool_calls" if has_calls else "stop"


def seal(thinking: str, target: Target, *, has_calls: bool) -> Sealed | None:
    """The reasoning that led to calls, for the turn that brings their results."""
    return Sealed(target.provider, target.wire, {"thinking": thinking}) if thinking and has_calls else None


def read_usage(answer: Mapping[str, Any]) -> Usage | None:
    """Tokens; a count that is zero is left out by the server."""
    if "prompt_eval_count" not in answer and "eval_count" not in answer:
        return None
    prompt, completion = count(answer.get("prompt_eval_count")), count(answer.get("eval_count"))
    return Usage(prompt, completion, prompt + completion)


def read_logprobs(answer: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    """The log probabilities of an answer or of a line."""
    items = answer.get("logprobs")
    read: list[TokenLogprob] = []
    for item in items if is_list(items) else ():
        for token, logprob in _token(item):
            top = item.get("top_logprobs")
            read.append(TokenLogprob(token, logprob, tuple(_pairs(top))))
    return tuple(read)


def _pairs(items: object) -> Iterator[tuple[str, float]]:
    for item in items if is_list(items) else ():
        yield from _token(item)


def _token(item: object) -> Iterator[tuple[str, float]]:
    """A token and its log probability, if it is one."""
    if is_object(item) and isinstance(item.get("token"), str) and (logprob := finite(item.get("logprob"))) is not None:
        yield item["token"], logprob


def read_embeddings(ask: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/api/embed``: one vector for each text, all of one length."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    rows = answer.get("embeddings")
    vectors = [vector for row in (rows if is_list(rows) else ()) if (vector := read_vector(row)) is not None]
    if len(vectors) != len(ask.texts) or len({len(vector) for vector in vectors}) > 1:
        return Failure("malformed")
    model = text_or_none(answer.get("model")) or target.model
    return Done(EmbeddingResponse(vectors, model, target.provider, read_usage(answer)))


def read_models(body: object, target: Target) -> Done | Failure:
    """The answer of ``/api/tags``: ``(models, cursor)``; there is one page."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    items = answer.get("models")
    if not is_list(items):
        return Failure("malformed")
    models = [
        ModelInfo(name, target.provider, features=_features(item.get("capabilities")))
        for item in items
        if is_object(item) and (name := text_or_none(item.get("model")) or text_or_none(item.get("name")))
    ]
    return Failure("malformed") if items and not models else Done((tuple(models), None))


def read_info(body: object, target: Target) -> Done | Failure:
    """The answer of ``/api/show``. The window is the model's own; the server loads less unless ``num_ctx`` says so."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    known = object_or_empty(answer.get("model_info"))
    window = known.get(f"{known.get('general.architecture')}.context_length")
    features = _features(answer.get("capabilities"))
    return Done(ModelInfo(target.model, target.provider, context_window=count(window) or None, features=features))


def _features(capabilities: object) -> frozenset[str] | None:
    if not is_list(capabilities):
        return None
    return frozenset(name for each in capabilities if isinstance(each, str) for name in _FEATURES.get(each, ()))


def _answer(body: object) -> dict[str, Any] | Failure:
    """The body if it is one, rather than an error at status 200 or no JSON object at all."""
    if not is_object(body):
        return Failure("malformed")
    return read_error(body) if body.get("error") else body
