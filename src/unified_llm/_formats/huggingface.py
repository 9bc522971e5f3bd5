"""Hugging Face: its router speaks OpenAI's format, except where it makes embeddings.

Chat goes to whichever company runs the model; embeddings are a task of ``hf-inference``, Hugging Face's own, at a path
that names the model. A dedicated endpoint has OpenAI's path for them instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlsplit

from unified_llm._core.codec import WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.json_values import count, is_list, is_object, object_or_empty, read_vectors, text_or_none
from unified_llm._formats.make_codec import FunctionCodec
from unified_llm._formats.openai_chat import CODEC as OPENAI_CHAT
from unified_llm._formats.openai_errors import read_error, read_failure
from unified_llm._formats.request_fields import apply_quirks, at_root, effective, post
from unified_llm.types.requests import EmbeddingRequest, ModelsRequest
from unified_llm.types.responses import EmbeddingResponse, ModelInfo

__all__ = ["CODEC"]

_DEDICATED: Final = ".endpoints.huggingface.cloud"


def _write(request: EmbeddingRequest, target: Target) -> WireRequest:
    write, _ = OPENAI_CHAT.by_request[EmbeddingRequest]
    return write(request, target) if _is_dedicated(target) else _write_embeddings(request, target)


def _read(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    _, read = OPENAI_CHAT.by_request[EmbeddingRequest]
    return (
        read(request, body, target) if is_object(body) and "data" in body else _read_embeddings(request, body, target)
    )


def _read_models(request: ModelsRequest, body: object, target: Target) -> Done | Failure:
    _, read = OPENAI_CHAT.by_request[ModelsRequest]
    end = read(request, body, target)
    if isinstance(end, Failure):
        return end
    models, cursor = end.value
    return replace(end, value=(tuple(_described(models, body)), cursor))


def _is_dedicated(target: Target) -> bool:
    return (urlsplit(target.base_url).hostname or "").endswith(_DEDICATED)


def _write_embeddings(request: EmbeddingRequest, target: Target) -> WireRequest:
    """A request for the task ``feature-extraction``. The part of a model's name that chooses a company is left out."""
    fields: dict[str, Any] = {}
    dimensions = effective(request, "dimensions", target)
    if dimensions is not None:
        fields["dimensions"] = dimensions
    body = {"inputs": list(request.texts), **apply_quirks(fields, target), **target.extra_body, **request.extra_body}
    model = quote(target.model.partition(":")[0])
    return post(f"/hf-inference/models/{model}/pipeline/feature-extraction", body, at_root(target, "/v1"))


def _read_embeddings(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """A vector for each text, and nothing else: neither model nor usage is said."""
    if is_object(body):
        return read_error(body, target) if "error" in body else Failure("malformed")
    rows: list[Any] = body if is_list(body) else []
    if len(request.texts) == 1 and rows and not is_list(rows[0]):
        rows = [rows]
    if rows and is_list(rows[0]) and rows[0] and is_list(rows[0][0]):
        return Failure("malformed", detail=f"{target.model} gives a vector for each token, not for each text.")
    vectors = read_vectors(rows, len(request.texts))
    return Failure("malformed") if vectors is None else Done(EmbeddingResponse(vectors, target.model, target.provider))


def _described(models: tuple[ModelInfo, ...], body: object) -> Iterator[ModelInfo]:
    """The models with what the router says of the companies that run them: the best of them counts."""
    items = object_or_empty(body).get("data")
    said = {item["id"]: item for item in (items if is_list(items) else ()) if is_object(item) and _has_id(item)}
    for model in models:
        item = said.get(model.id, {})
        runners = item.get("providers")
        offers = [each for each in runners if is_object(each)] if is_list(runners) else []
        windows = [count(each.get("context_length")) for each in offers]
        yield replace(
            model,
            context_window=max([*windows, 0]) or model.context_window,
            features=frozenset(_features(item, offers)) if offers else model.features,
        )


def _has_id(item: Mapping[str, Any]) -> bool:
    return text_or_none(item.get("id")) is not None


def _features(item: Mapping[str, Any], offers: list[dict[str, Any]]) -> Iterator[str]:
    if any(each.get("supports_tools") is True for each in offers):
        yield "tools"
    if any(each.get("supports_structured_output") is True for each in offers):
        yield from ("json_object", "json_schema")
    seen = object_or_empty(item.get("architecture")).get("input_modalities")
    if is_list(seen) and "image" in seen:
        yield from ("images", "image_urls")


CODEC: Final = FunctionCodec(
    {
        **OPENAI_CHAT.by_request,
        EmbeddingRequest: (_write, _read),
        ModelsRequest: (OPENAI_CHAT.by_request[ModelsRequest][0], _read_models),
    },
    stream=OPENAI_CHAT.decoder,
    refusal=read_failure,
)
