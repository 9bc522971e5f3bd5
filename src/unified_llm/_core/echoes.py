"""Masks the keys of a request in what its server said, before any of it is stored.

Text that a model generated is not changed: a successful response is the caller's own, its metadata goes into logs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.redaction import SentKeys
from unified_llm.types.responses import ModelInfo

EndT = TypeVar("EndT", Done, Failure)

# Of any response; the last two are what a provider says of a job that failed.
_METADATA: Final = ("model", "response_id", "id", "job", "error", "detail")
_WORDS: Final = ("code", "subcode", "param", "detail", "body")
_TEXTS_OF_A_MODEL: Final = ("id", "owned_by", "description", "family")


def mask_echoes(end: EndT, sent: SentKeys) -> EndT:
    """Mask keys in the end of an exchange: code, message, request ID, headers, names of models.

    Args:
        end: The end of the exchange, complete with headers.
        sent: The keys that were sent with the request.
    """
    if not sent.may_be_in("\n".join(_texts(end))):
        return end
    headers = {name: sent.mask(value) for name, value in end.headers.items()}
    request_id = sent.mask(end.request_id) if end.request_id else end.request_id
    if isinstance(end, Done):
        return replace(end, value=_mask_value(end.value, sent.mask), request_id=request_id, headers=headers)
    words: dict[str, Any] = {name: sent.mask(text) for name in _WORDS if (text := getattr(end, name))}
    return replace(end, **words, request_id=request_id, headers=headers)


def _texts(end: Done | Failure) -> list[str]:
    texts = [end.request_id, *end.headers.values()]
    if isinstance(end, Failure):
        texts += [getattr(end, name) for name in _WORDS]
    else:
        texts += _value_texts(end.value)
    return [text for text in texts if text]


def _value_texts(value: Any) -> list[str | None]:
    if models := _models(value):
        return [text for model in models for text in (model.id, model.owned_by)]
    return [*_metadata(value).values()]


def _metadata(value: Any) -> dict[str, str]:
    return {name: text for name in _METADATA if isinstance(text := getattr(value, name, None), str)}


def _mask_value(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, ModelInfo):
        return _mask_model(value, mask)
    if models := _models(value):
        return ([_mask_model(model, mask) for model in models], value[1])
    masked: dict[str, Any] = {name: mask(text) for name, text in _metadata(value).items()}
    return replace(value, **masked) if masked else value


def _mask_model(model: ModelInfo, mask: Callable[[str], str]) -> ModelInfo:
    masked: dict[str, Any] = {name: mask(text) for name in _TEXTS_OF_A_MODEL if (text := getattr(model, name))}
    return replace(model, **masked)


def _models(value: Any) -> Sequence[ModelInfo]:
    """Return the models of a list's page, ``(models, cursor)``, or the single model of a description."""
    match value:
        case ModelInfo():
            return [value]
        case ([*models], _):
            return [model for model in models if isinstance(model, ModelInfo)]
        case _:
            return []
