"""Fields of requests for images at providers that differ from OpenAI's API in them: see ``Quirks``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm._core.dropped_settings import report_dropped
from unified_llm._core.target import Target
from unified_llm._formats.media_sizes import pixels_of, shape_of
from unified_llm._formats.request_fields import registered_type
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types.content import data_url
from unified_llm.types.media_requests import ImageRequest, MediaFile

# Pixels of the longer side from which an image of xAI's is larger than usual: docs.x.ai (image generation).
_RESOLUTIONS: Final = ((1536, "2k"),)


def fit_fields(fields: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Return the fields with the size as the target has it, and without a format that it does not take."""
    quirks = target.quirks
    if "output_format" in fields and "image.format" in quirks.drop:
        report_dropped("format", target.name, "which does not take it")
        fields = {name: value for name, value in fields.items() if name != "output_format"}
    size = fields.get("size")
    if size is None or not (quirks.image_sides or quirks.image_ratios):
        return dict(fields)
    others = {name: value for name, value in fields.items() if name != "size"}
    sized = _sides(size) if quirks.image_sides else _ratio(size, quirks.image_ratios)
    if not sized and size != "auto":
        report_dropped("size", target.name, "which has no such size")
    return {**others, **sized}


def _sides(size: str) -> dict[str, Any]:
    pixels = pixels_of(size)
    return {} if pixels is None else {"width": pixels[0], "height": pixels[1]}


def _ratio(size: str, ratios: tuple[str, ...]) -> dict[str, Any]:
    ratio, resolution = shape_of(size, ratios, _RESOLUTIONS)
    fields = {} if ratio is None else {"aspect_ratio": ratio}
    return fields if resolution is None else {**fields, "resolution": resolution.lower()}


def images_in_json(request: ImageRequest, target: Target) -> dict[str, Any]:
    """Return the field with the images to edit.

    Raises:
        UnsupportedOperationError: There is a mask.
    """
    if request.mask is not None:
        raise UnsupportedOperationError(
            "it edits images without a mask: say in the prompt what to change.", provider=target.provider
        )
    images = [_image(image) for image in request.images]
    return {"image": images[0]} if len(images) == 1 else {"images": images}


def _image(image: MediaFile) -> dict[str, str]:
    return {"type": "image_url", "url": data_url(image.data, registered_type(image.media_type))}
