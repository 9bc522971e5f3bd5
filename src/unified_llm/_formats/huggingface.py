"""Hugging Face: OpenAI's chat format, and its own format for embeddings.

The router sends chat requests to a provider that runs the model. Embeddings are a task of ``hf-inference``, Hugging
Face's own provider, at a path that names the model. A dedicated endpoint has OpenAI's path for embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from unified_llm._core.codec import WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.paths import segments
from unified_llm._core.target import Target
from unified_llm._formats.json_values import count, is_list, is_object, object_or_empty, read_vectors, text_or_none
from unified_llm._formats.make_codec import FunctionCodec
from unified_llm._formats.openai_chat import CODEC as OPENAI_CHAT
from unified_llm._formats.openai_errors import read_error, read_failure
from unified_llm._formats.request_fields import apply_quirks, effective, post, without_version_path
from unified_llm._formats.response_fields import unusable_vectors
from unified_llm.types.requests import EmbeddingRequest, ModelsRequest
from unified_llm.types.responses import EmbeddingResponse, ModelInfo

__all__ = ["CODEC"]

_DEDICATED: Final = ".endpoints.huggingface.cloud"


def _write_embeddings_request(request: EmbeddingRequest, target: Target) -> WireRequest:
    write, _ = OPENAI_CHAT.by_request[EmbeddingRequest]
    return write(request, target) if _is_dedicated(target) else _write_feature_extraction(request, target)


def _read_embeddings_response(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    _, read = OPENAI_CHAT.by_request[EmbeddingRequest]
    return (
        read(request, body, target)
        if is_object(body) and "data" in body
        else _read_feature_extraction(request, body, target)
    )


def _read_models(request: ModelsRequest, body: object, target: Target) -> Done | Failure:
    _, read = OPENAI_CHAT.by_request[ModelsRequest]
    outcome = read(request, body, target)
    if isinstance(outcome, Failure):
        return outcome
    models, cursor = outcome.value
    return replace(outcome, value=(tuple(_with_provider_data(models, body)), cursor))


def _is_dedicated(target: Target) -> bool:
    return (urlsplit(target.base_url).hostname or "").endswith(_DEDICATED)


def _write_feature_extraction(request: EmbeddingRequest, target: Target) -> WireRequest:
    """Write a request for the task ``feature-extraction``, without the provider suffix of the model's name."""
    fields: dict[str, Any] = {}
    dimensions = effective(request, "dimensions", target)
    if dimensions is not None:
        fields["dimensions"] = dimensions
    body = {"inputs": list(request.texts), **apply_quirks(fields, target), **target.extra_body, **request.extra_body}
    model = segments(target.model.partition(":")[0], has_parts=target.names_have_parts)
    return post(f"/hf-inference/models/{model}/pipeline/feature-extraction", body, without_version_path(target, "/v1"))


def _read_feature_extraction(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """Read one vector for each text; the response has neither model nor usage."""
    if is_object(body):
        return read_error(body, target) if "error" in body else Failure("malformed")
    rows: list[Any] = body if is_list(body) else []
    if len(request.texts) == 1 and rows and not is_list(rows[0]):
        rows = [rows]
    if rows and is_list(rows[0]) and rows[0] and is_list(rows[0][0]):
        return Failure("malformed", detail=f"{target.model} gives a vector for each token, not for each text.")
    vectors = read_vectors(rows, len(request.texts))
    if vectors is None:
        return unusable_vectors(rows, len(request.texts))
    return Done(EmbeddingResponse(vectors, target.model, target.provider))


def _with_provider_data(models: tuple[ModelInfo, ...], body: object) -> Iterator[ModelInfo]:
    """Yield the models with the largest context window and all features of the providers that run them."""
    items = object_or_empty(body).get("data")
    data_by_id: dict[str, tuple[int, frozenset[str]]] = {}
    for item in items if is_list(items) else ():
        if is_object(item) and (identifier := text_or_none(item.get("id"))) is not None:
            providers = item.get("providers")
            entries = [entry for entry in providers if is_object(entry)] if is_list(providers) else []
            if entries:
                window = max(count(entry.get("context_length")) for entry in entries)
                data_by_id[identifier] = window, frozenset(_features(item, entries))
    for model in models:
        window, features = data_by_id.get(model.id, (0, model.features))
        yield replace(model, context_window=window or model.context_window, features=features)


def _features(item: Mapping[str, Any], provider_entries: list[dict[str, Any]]) -> Iterator[str]:
    if any(entry.get("supports_tools") is True for entry in provider_entries):
        yield "tools"
    if any(entry.get("supports_structured_output") is True for entry in provider_entries):
        yield from ("json_object", "json_schema")
    modalities = object_or_empty(item.get("architecture")).get("input_modalities")
    if is_list(modalities) and "image" in modalities:
        yield from ("images", "image_urls")


CODEC: Final = FunctionCodec(
    {
        **OPENAI_CHAT.by_request,
        EmbeddingRequest: (_write_embeddings_request, _read_embeddings_response),
        ModelsRequest: (OPENAI_CHAT.by_request[ModelsRequest][0], _read_models),
    },
    stream=OPENAI_CHAT.decoder,
    failure=read_failure,
)
