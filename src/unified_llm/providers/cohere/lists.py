"""Vectors, rankings and models: what the other endpoints answer. Nothing here raises for what the provider sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm.asks import ModelRequest, RankedDocument, RerankRequest, RerankResponse
from unified_llm.jsonx import finite
from unified_llm.outcome import Done, Failure
from unified_llm.providers.cohere.decode import read_usage
from unified_llm.providers.cohere.errors import read_error
from unified_llm.providers.numbers import count, read_vectors
from unified_llm.providers.reading import read_page
from unified_llm.providers.shapes import is_list, is_object, object_or_empty, text_or_none
from unified_llm.target import Target
from unified_llm.types import EmbeddingRequest, EmbeddingResponse, ModelInfo, ModelsRequest

# The forms of a vector that hold one number for each dimension, the most exact first; the others are packed bits.
_FORMS: Final = ("float", "base64", "int8", "uint8")
# What the endpoints of a model mean in the words of our table.
_FEATURES: Final[Mapping[str, str]] = {"chat": "streaming", "embed": "embeddings", "rerank": "rerank"}


def read_embeddings(ask: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/v2/embed``: one vector for each text, all of one length."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    forms = object_or_empty(answer.get("embeddings"))
    vectors = read_vectors(next((found for form in _FORMS if (found := forms.get(form))), None), len(ask.texts))
    if vectors is None:
        return Failure("malformed")
    return Done(EmbeddingResponse(vectors, target.model, target.provider, read_usage(answer.get("meta"))))


def read_ranking(ask: RerankRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/v2/rerank``, the best first."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    items = answer.get("results")
    ranked: list[RankedDocument] = []
    for item in items if is_list(items) else ():
        known = object_or_empty(item)
        index, score = known.get("index"), finite(known.get("relevance_score"))
        if not isinstance(index, int) or not 0 <= index < len(ask.documents) or score is None:
            return Failure("malformed")
        ranked.append(RankedDocument(index, score))
    if not ranked or len({document.index for document in ranked}) < len(ranked):
        return Failure("malformed")
    ranked.sort(key=lambda document: -document.score)
    return Done(RerankResponse(tuple(ranked), target.model, target.provider, read_usage(answer.get("meta"))))


def read_models(_: ModelsRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/v1/models``: ``(models, cursor)``."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    cursor = text_or_none(answer.get("next_page_token"))
    return read_page(answer.get("models"), lambda item: _model(item, target), cursor)


def read_info(_: ModelRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/v1/models/{name}``."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    model = _model(answer, target)
    return Done(model) if model else Failure("malformed")


def _model(item: Mapping[str, Any], target: Target) -> ModelInfo | None:
    """A model, with what it can be asked for; what else it has goes by Cohere's own names."""
    if (name := text_or_none(item.get("name"))) is None:
        return None
    endpoints, features = item.get("endpoints"), item.get("features")
    known: set[str] = {name for name in features if isinstance(name, str)} if is_list(features) else set()
    for endpoint in endpoints if is_list(endpoints) else ():
        if isinstance(endpoint, str) and endpoint in _FEATURES:
            known.add(_FEATURES[endpoint])
    return ModelInfo(
        id=name,
        provider=target.provider,
        context_window=count(item.get("context_length")) or None,
        features=frozenset(known) if is_list(endpoints) or is_list(features) else None,
    )


def _answer(body: object) -> dict[str, Any] | Failure:
    """The body if it is one, rather than an error at status 200 or no JSON object at all."""
    if not is_object(body):
        return Failure("malformed")
    return read_error(body) if isinstance(body.get("message"), str) else body
