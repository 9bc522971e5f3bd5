"""Whole responses of Ollama's server: answers, vectors and models. Nothing here raises for what a server sends."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.finish_reasons import is_answer, read_finish_reason
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import count, is_list, is_object, object_or_empty, read_vectors, text_or_none
from unified_llm._formats.ollama.errors import read_error
from unified_llm._formats.response_fields import read_page
from unified_llm.types.messages import ProviderState, ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest
from unified_llm.types.responses import EmbeddingResponse, LLMResponse, ModelInfo

# The features of our table, by a model's capabilities (types/model/capability.go).
_FEATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "completion": ("streaming", "json_object", "json_schema", "as_text"),
    "tools": ("tools",),
    "vision": ("images",),
    "audio": ("audio",),
    "embedding": ("embeddings",),
    "thinking": ("reasoning",),
}
_MADE: Final[Mapping[str, str]] = {"completion": "text", "embedding": "embeddings"}


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/api/chat`` or ``/api/generate``."""
    answer = _read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    message = read_message(answer)
    if message is None:
        return Failure("malformed")
    if answer.get("done") is not True:
        return Failure("truncated")
    content, thinking = read_text(message)
    calls = read_calls(message, answer, Identifiers())
    has_content = is_answer(content, thinking) or bool(calls)
    reason = read_finish_reason(answer.get("done_reason"), target, has_content=has_content, has_calls=bool(calls))
    if isinstance(reason, Failure):
        return reason
    return Done(
        LLMResponse(
            content=content,
            model=text_or_none(answer.get("model")) or target.model,
            provider=target.provider,
            finish_reason=reason,
            usage=read_usage(answer),
            tool_calls=calls,
            reasoning=thinking or None,
            logprobs=response_fields.read_logprobs(answer.get("logprobs")),
            provider_state=keep_state(thinking, target, has_calls=bool(calls)),
            raw=answer,
        )
    )


def read_message(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the message of an answer or of a line; ``/api/generate`` has its fields at the top level instead."""
    if "response" in answer:
        return {"content": answer["response"], "thinking": answer.get("thinking")}
    message = answer.get("message")
    return message if is_object(message) else None


def read_text(message: Mapping[str, Any]) -> tuple[str, str]:
    """Read text and visible reasoning."""
    return text_or_none(message.get("content")) or "", text_or_none(message.get("thinking")) or ""


def read_calls(message: Mapping[str, Any], answer: Mapping[str, Any], identifiers: Identifiers) -> tuple[ToolCall, ...]:
    """Read the calls of a message. Older servers send no ids: one is made from the time and the call's number."""
    created_at = text_or_none(answer.get("created_at")) or ""

    def make_id(number: int) -> str:
        return f"call_{sha256(f'{created_at} {number}'.encode(errors='replace')).hexdigest()[:16]}"

    return tuple(response_fields.read_calls(message.get("tool_calls"), identifiers, make_id))


def keep_state(thinking: str, target: Target, *, has_calls: bool) -> ProviderState | None:
    """Return the reasoning before tool calls, to send back with their results; None if there is none."""
    return response_fields.keep_state({"thinking": thinking}, target) if thinking and has_calls else None


def read_usage(answer: Mapping[str, Any]) -> Usage | None:
    """Read the token counts; the server leaves out a count of zero."""
    if "prompt_eval_count" not in answer and "eval_count" not in answer:
        return None
    prompt, completion = count(answer.get("prompt_eval_count")), count(answer.get("eval_count"))
    return Usage(prompt, completion, prompt + completion)


def read_embeddings(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/api/embed``: one vector for each text, all of one length."""
    answer = _read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    rows = answer.get("embeddings")
    vectors = read_vectors(rows, len(request.texts))
    if vectors is None:
        return response_fields.unusable_vectors(rows, len(request.texts))
    model = text_or_none(answer.get("model")) or target.model
    return Done(EmbeddingResponse(vectors, model, target.provider, read_usage(answer)))


def read_models(_: ModelsRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/api/tags`` or ``/api/ps``: ``(models, cursor)``; there is only one page."""
    answer = _read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    return read_page(answer.get("models"), lambda item: _read_model_info(item, target))


def _read_model_info(item: Mapping[str, Any], target: Target) -> ModelInfo | None:
    name = text_or_none(item.get("model")) or text_or_none(item.get("name"))
    if name is None:
        return None
    window = count(item.get("context_length")) or None  # the window that a loaded model is served with
    return ModelInfo(name, target.provider, context_window=window, **_read_kind(item))


def read_model(_: ModelRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/api/show``. Its window is the model's; the server uses less unless ``num_ctx`` is set."""
    answer = _read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    known = object_or_empty(answer.get("model_info"))
    window = known.get(f"{known.get('general.architecture')}.context_length")
    return Done(ModelInfo(target.model, target.provider, context_window=count(window) or None, **_read_kind(answer)))


def _read_kind(item: Mapping[str, Any]) -> dict[str, Any]:
    """Read what kind of model it is: its family, its size, and by its capabilities what it can do and what it makes."""
    capabilities = item.get("capabilities")
    named = {name for name in capabilities if isinstance(name, str)} if is_list(capabilities) else set[str]()
    made = frozenset(_MADE[name] for name in named & _MADE.keys())
    details = object_or_empty(item.get("details"))
    return {
        "family": text_or_none(details.get("family")),
        "size": count(item.get("size")) or None,
        "quantization": text_or_none(details.get("quantization_level")),
        "features": _read_features(capabilities),
        "output_types": made or None,
    }


def _read_features(capabilities: object) -> frozenset[str] | None:
    if not is_list(capabilities):
        return None
    known = (capability for capability in capabilities if isinstance(capability, str))
    return frozenset(name for capability in known for name in _FEATURES.get(capability, ()))


def _read_body(body: object, target: Target) -> dict[str, Any] | Failure:
    """Return the body, or the failure if it is an error at status 200 or not a JSON object."""
    if not is_object(body):
        return Failure("malformed")
    return read_error(body, target) if body.get("error") else body
