"""A digest of what determines the response to a request, so that a later run knows what is finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from hashlib import sha256
from typing import Any, Final

from unified_llm._core.redaction import without_keys
from unified_llm._core.target import Target
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

# Fields of a request that change how it is sent, never what the response says, and those that are read in another way:
# the model is that of the target.
_OF_SENDING: Final = frozenset({"model", "stream", "request_id", "timeout_override", "original", "extra_body"})
# The same in the body that a program wrote for OpenAI's API: labels, billing, and what the provider keeps.
_LABELS: Final = frozenset({
    "model", "stream", "stream_options", "metadata", "user", "safety_identifier", "store", "service_tier",
    "prompt_cache_key", "prompt_cache_retention", "background",
})  # fmt: skip


def fingerprint(request: LLMRequest | EmbeddingRequest, target: Target) -> str:
    """Return the SHA-256 of what determines the response: 64 hexadecimal digits.

    That is the model, the messages or texts, sampling, tools, the schema and other fields of the body; not the key, the
    address, timeouts, fallbacks, or labels such as ``metadata`` and ``user``.

    Args:
        request: The request.
        target: The first target of its chain, whose model and defaults hold.
    """
    parts: dict[str, Any] = {
        "kind": type(request).__name__,
        "model": [target.provider, target.model],
        "adapter": target.mlx.adapter_path,
        "defaults": target.defaults,
        "extra_body": without_keys(target.extra_body),
        "request": {name: value for name, value in _compared(request).items() if name not in _OF_SENDING},
        "further": _without_labels(request.extra_body),
    }
    if request.original is not None:  # of which the request may be a shorter form
        parts["original"] = _without_labels(request.original.body)
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return sha256(text.encode()).hexdigest()


def _without_labels(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in without_keys(body).items() if name not in _LABELS}


def _compared(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that are set and take part in comparisons.

    What a later version adds to it changes no digest while it is not set.
    """
    return {
        field.name: item
        for field in fields(value)
        if field.compare and (item := getattr(value, field.name)) != _default_of(field)
    }


def _default_of(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__, **_compared(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return sha256(value).hexdigest()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return repr(value)
