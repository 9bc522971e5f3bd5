"""Requests for media in the limits of a fallback.

A voice, a quality and a background have the names that one API gives them, and so has a size that is not in pixels.
They go to the targets of that API, and to those that have the same model; others choose them themselves. What is left
out is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from unified_llm._core.codec import AnyRequest
from unified_llm._core.dropped_settings import MEDIA_SETTINGS
from unified_llm._core.target import Target
from unified_llm._formats.media_sizes import pixels_of
from unified_llm._providers.provider_fields import has_media_api_of
from unified_llm.types.media_requests import ImageRequest
from unified_llm.types.raw import RawRequest

# Settings whose values one API names.
_NAMED_BY_API: Final = ("quality", "background", "voice")


def fit(request: Any, target: Target, primary: Target | None) -> tuple[AnyRequest, dict[str, Sequence[Any]]]:
    """Return the request as the target gets it, and a record of what differs.

    Args:
        request: The request.
        target: A target other than the primary.
        primary: The target that the call was written for; None where it is not in the chain.
    """
    if isinstance(request, RawRequest):  # whose body is that of its endpoint
        return request, {}
    names = {field.name for field in fields(request)}
    given: dict[str, Any] = {name: getattr(request, name) for name in MEDIA_SETTINGS if name in names}
    given = {name: value for name, value in given.items() if value is not None and value != ()}
    same_api = primary is not None and has_media_api_of(target, primary)
    is_foreign = not (same_api or _same_model(target, primary))
    left_out = {
        name: value
        for name, value in given.items()
        if not _takes(name, request, target) or (is_foreign and _is_named_by_api(name, value))
    }
    changes: dict[str, Any] = {name: () if isinstance(value, tuple) else None for name, value in left_out.items()}
    body: Mapping[str, Any] = getattr(request, "extra_body", {})
    if body and not same_api:
        changes["extra_body"] = {}
        left_out |= body
    if not changes:
        return request, {}
    return replace(request, **changes), {name: [_shown(value), None] for name, value in left_out.items()}


def _is_named_by_api(name: str, value: Any) -> bool:
    return name in _NAMED_BY_API or (name == "size" and pixels_of(value) is None)


def _takes(name: str, request: Any, target: Target) -> bool:
    drop = target.quirks.drop
    return name not in drop and not (isinstance(request, ImageRequest) and f"image.{name}" in drop)


def _same_model(target: Target, primary: Target | None) -> bool:
    return primary is not None and _model(target) == _model(primary)


def _model(target: Target) -> str:
    return target.model.rpartition("/")[2].lower()


def _shown(value: Any) -> Any:
    """Return what a record shows of a value: texts may quote the prompt."""
    return value if isinstance(value, (bool, int, float)) else "..."
