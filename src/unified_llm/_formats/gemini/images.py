"""Images of Gemini's image models, which ``:generateContent`` draws and edits.

Sources: ai.google.dev/gemini-api/docs/image-generation, and ``ImageConfig`` of google-genai 3.3. Imagen's ``:predict``
was shut down on 17 August 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from unified_llm._core.codec import WireRequest
from unified_llm._core.dropped_settings import report_dropped
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.gemini.media_answers import answer_without_media, candidates_of, media_of
from unified_llm._formats.gemini.messages import inline_data
from unified_llm._formats.gemini.request import merge_extra, resource_path
from unified_llm._formats.gemini.response import read_body, read_usage
from unified_llm._formats.json_values import text_or_none
from unified_llm._formats.media_fields import image_format
from unified_llm._formats.media_sizes import shape_of
from unified_llm._formats.request_fields import post, registered_type
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types.media import Image, ImageResponse
from unified_llm.types.media_requests import ImageRequest

# The ratios that all image models know; the Flash models know longer ones besides.
_RATIOS: Final = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
# Pixels of the longer side, from which the next resolution is named; 1K is the default.
_RESOLUTIONS: Final = ((3072, "4K"), (1920, "2K"))
_NOT_SENT: Final = ("quality", "format", "background")


def write_image(request: ImageRequest, target: Target) -> WireRequest:
    """Write a request for a new image, or for a change of images.

    Raises:
        UnsupportedOperationError: There is a mask, or several images are wanted.
    """
    if request.mask is not None:
        raise UnsupportedOperationError(
            "it edits images without a mask: say in the prompt what to change.", provider=target.provider
        )
    if request.n is not None and request.n > 1:
        raise UnsupportedOperationError("it makes one image for a request: leave out n.", provider=target.provider)
    for name in _NOT_SENT:
        if getattr(request, name) is not None:
            report_dropped(name, target.name, "whose format has no such field")
    config: dict[str, Any] = {"responseModalities": ["IMAGE"]}
    if image_config := _image_config(request.size):
        config["imageConfig"] = image_config
    images = [inline_data(image.data, registered_type(image.media_type)) for image in request.images]
    content = {"role": "user", "parts": [*images, {"text": request.prompt}]}
    body = merge_extra({"contents": [content], "generationConfig": config}, target.extra_body)
    return post(f"/{resource_path(target)}:generateContent", merge_extra(body, request.extra_body), target)


def _image_config(size: str | None) -> dict[str, str]:
    ratio, resolution = shape_of(size, _RATIOS, _RESOLUTIONS)
    config = {} if ratio is None else {"aspectRatio": ratio}
    return config if resolution is None else {**config, "imageSize": resolution.upper()}


def read_image(_: ImageRequest, body: object, target: Target) -> Done | Failure:
    """Read an answer as images; one without any is a failure."""
    answer = read_body(body)
    if isinstance(answer, Failure):
        return answer
    candidates = candidates_of(answer)
    images = tuple(image for candidate in candidates for image in _images_of(candidate))
    if not images:
        return answer_without_media(answer, candidates, target)
    response = ImageResponse(
        images,
        model=text_or_none(answer.get("modelVersion")) or "",
        format=images[0].format,
        usage=read_usage(answer),
        raw=answer,
    )
    return Done(response)


def _images_of(candidate: dict[str, Any]) -> Iterator[Image]:
    for media_type, data in media_of(candidate):
        if media_type.startswith("image/"):
            yield Image(data=data, format=image_format(data) or media_type.removeprefix("image/"))
