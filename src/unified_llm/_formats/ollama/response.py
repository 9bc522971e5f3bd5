"""Whole answers: what the JSON of Ollama's server means. Nothing here raises for what a server sends."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import count, is_list, is_object, object_or_empty, read_vectors, text_or_none
from unified_llm._formats.ollama.errors import read_error
from unified_llm._formats.response_fields import read_page
from unified_llm.types.messages import ProviderState, ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest
from unified_llm.types.responses import EmbeddingResponse, FinishReason, LLMResponse, ModelInfo

_FINISH: Final[Mapping[str, FinishReason]] = {"stop": "stop", "length": "length"}
# The ends of requests that asked for nothing but to have a model loaded, or unloaded.
_NO_ANSWER: Final = frozenset({"load", "unload"})
# What a model of each capability can be asked for (types/model/capability.go), in the words of our table.
_FEATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "completion": ("streaming", "json_object", "json_schema", "as_text"),
    "tools": ("tools",),
    "vision": ("images",),
    "audio": ("audio",),
    "embedding": ("embeddings",),
    "thinking": ("reasoning",),
}


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
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
    calls = read_calls(message, answer, Identifiers())
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
            logprobs=response_fields.read_logprobs(answer.get("logprobs")),
            provider_state=keep_state(thinking, target, has_calls=bool(calls)),
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


def read_calls(message: Mapping[str, Any], answer: Mapping[str, Any], identifiers: Identifiers) -> tuple[ToolCall, ...]:
    """The calls of a message. Older servers give no identifiers: one is made from the time and the call's number."""
    made_at = text_or_none(answer.get("created_at")) or ""

    def made(number: int) -> str:
        return f"call_{sha256(f'{made_at} {number}'.encode(errors='replace')).hexdigest()[:16]}"

    return tuple(response_fields.read_calls(message.get("tool_calls"), identifiers, made))


def read_end(answer: Mapping[str, Any], target: Target, *, spoke: bool, has_calls: bool) -> FinishReason | Failure:
    """Why it ended. To have loaded or unloaded a model is no answer; an unknown reason is a ``stop``."""
    said = answer.get("done_reason")
    if isinstance(said, str) and said in _NO_ANSWER:
        return Failure("empty", code=said)
    reason = response_fields.finish_reason(said or "stop", _FINISH, target, has_calls=has_calls)
    return reason if spoke or reason == "length" else Failure("empty")


def keep_state(thinking: str, target: Target, *, has_calls: bool) -> ProviderState | None:
    """The reasoning that led to calls, for the turn that brings their results."""
    return response_fields.keep_state({"thinking": thinking}, target) if thinking and has_calls else None


def read_usage(answer: Mapping[str, Any]) -> Usage | None:
    """Tokens; a count that is zero is left out by the server."""
    if "prompt_eval_count" not in answer and "eval_count" not in answer:
        return None
    prompt, completion = count(answer.get("prompt_eval_count")), count(answer.get("eval_count"))
    return Usage(prompt, completion, prompt + completion)


def read_embeddings(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/api/embed``: one vector for each text, all of one length."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    vectors = read_vectors(answer.get("embeddings"), len(request.texts))
    if vectors is None:
        return Failure("malformed")
    model = text_or_none(answer.get("model")) or target.model
    return Done(EmbeddingResponse(vectors, model, target.provider, read_usage(answer)))


def read_models(_: ModelsRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/api/tags``: ``(models, cursor)``; there is one page."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    return read_page(answer.get("models"), lambda item: _model(item, target))


def _model(item: Mapping[str, Any], target: Target) -> ModelInfo | None:
    name = text_or_none(item.get("model")) or text_or_none(item.get("name"))
    return ModelInfo(name, target.provider, features=_features(item.get("capabilities"))) if name else None


def read_info(_: ModelRequest, body: object, target: Target) -> Done | Failure:
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
