"""Model lists in Anthropic's format or, from local servers, in OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from unified_llm._core.features import Feature, features
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.anthropic.response import read_body
from unified_llm._formats.json_values import count, is_object, object_or_empty, text_or_none
from unified_llm._formats.response_fields import read_page
from unified_llm.types.requests import ModelRequest, ModelsRequest
from unified_llm.types.responses import ModelInfo

_COMMON_FEATURES: Final = features("streaming", "tools", "tool_choice", "count_tokens", "models", "model_info")
_CAPABILITIES: Final[Mapping[str, frozenset[Feature]]] = {
    "image_input": features("images", "image_urls"),
    "pdf_input": features("files"),
    "structured_outputs": features("json_schema"),
}


def read_models(_: ModelsRequest, body: object, target: Target) -> Done | Failure:
    """Read a page of the model list: ``(models, cursor)``."""
    answer = read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    cursor = text_or_none(answer.get("last_id")) if answer.get("has_more") is True else None
    return read_page(answer.get("data"), lambda item: _read_model_info(item, target.provider), cursor)


def read_model(_: ModelRequest, body: object, target: Target) -> Done | Failure:
    """Read the description of one model."""
    answer = read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    model = _read_model_info(answer, target.provider)
    return Done(model) if model else Failure("malformed")


def _read_model_info(item: Mapping[str, Any], provider: str) -> ModelInfo | None:
    if (name := text_or_none(item.get("id"))) is None:
        return None
    return ModelInfo(
        id=name,
        provider=provider,
        owned_by=text_or_none(item.get("owned_by")),
        created=_unix_time(item.get("created_at")) or count(item.get("created")) or None,
        context_window=count(item.get("max_input_tokens")) or count(item.get("max_model_len")) or None,
        max_output=count(item.get("max_tokens")) or None,
        features=_read_features(item.get("capabilities")),
    )


def _unix_time(timestamp: object) -> int | None:
    """Convert an RFC 3339 timestamp to Unix time; the API sends the epoch itself for an unknown date."""
    if not isinstance(timestamp, str):
        return None
    try:
        return count(datetime.fromisoformat(timestamp).timestamp()) or None
    except (ValueError, OverflowError, OSError):
        return None


def _read_features(capabilities: object) -> frozenset[Feature] | None:
    if not is_object(capabilities):
        return None
    supported = (name for name in _CAPABILITIES if object_or_empty(capabilities.get(name)).get("supported") is True)
    return _COMMON_FEATURES.union(*(_CAPABILITIES[name] for name in supported))
