"""What a provider says of its models, in Anthropic's words or, from local servers, in OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from unified_llm._core.features import Feature, features
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.anthropic.response import answer_of
from unified_llm._formats.json_values import count, is_object, object_or_empty, text_or_none
from unified_llm._formats.response_fields import read_page
from unified_llm.types.requests import ModelRequest, ModelsRequest
from unified_llm.types.responses import ModelInfo

_ALWAYS: Final = features("streaming", "tools", "tool_choice", "count_tokens", "models", "model_info")
_CAPABILITIES: Final[Mapping[str, frozenset[Feature]]] = {
    "image_input": features("images", "image_urls"),
    "pdf_input": features("files"),
    "structured_outputs": features("json_schema"),
}


def read_models(_: ModelsRequest, body: object, target: Target) -> Done | Failure:
    """A page of the list: ``(models, cursor)``."""
    answer = answer_of(body, target)
    if isinstance(answer, Failure):
        return answer
    cursor = text_or_none(answer.get("last_id")) if answer.get("has_more") is True else None
    return read_page(answer.get("data"), lambda item: _model(item, target.provider), cursor)


def read_model(_: ModelRequest, body: object, target: Target) -> Done | Failure:
    """One model."""
    answer = answer_of(body, target)
    if isinstance(answer, Failure):
        return answer
    model = _model(answer, target.provider)
    return Done(model) if model else Failure("malformed")


def _model(item: Mapping[str, Any], provider: str) -> ModelInfo | None:
    if (name := text_or_none(item.get("id"))) is None:
        return None
    return ModelInfo(
        id=name,
        provider=provider,
        owned_by=text_or_none(item.get("owned_by")),
        created=_seconds(item.get("created_at")) or count(item.get("created")) or None,
        context_window=count(item.get("max_input_tokens")) or count(item.get("max_model_len")) or None,
        max_output=count(item.get("max_tokens")) or None,
        features=_features(item.get("capabilities")),
    )


def _seconds(moment: object) -> int | None:
    """Unix time of an RFC 3339 text; the epoch itself stands for a date that is not known."""
    if not isinstance(moment, str):
        return None
    try:
        return count(datetime.fromisoformat(moment).timestamp()) or None
    except (ValueError, OverflowError, OSError):
        return None


def _features(said: object) -> frozenset[Feature] | None:
    if not is_object(said):
        return None
    able = (name for name in _CAPABILITIES if object_or_empty(said.get(name)).get("supported") is True)
    return _ALWAYS.union(*(_CAPABILITIES[name] for name in able))
