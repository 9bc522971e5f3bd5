"""Images by OpenAI's API: generations, edits, and streams of images that are not complete yet.

Written from the types of OpenAI's SDK (types/image_generate_params.py, image_edit_params.py, images_response.py,
image_gen_stream_event.py, image_edit_stream_event.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, Final

from unified_llm._core.codec import WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._core.usage_sums import add_usage
from unified_llm._formats.json_values import is_list, is_object, non_negative_int, text_or_none
from unified_llm._formats.media_fields import (
    decode_bytes,
    first_of,
    image_format,
    read_event,
    read_media_usage,
    set_fields,
)
from unified_llm._formats.openai_chat.image_fields import fit_fields, images_in_json
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.request_fields import form_fields, post, post_form
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.media import Image, ImageChunk, ImageResponse
from unified_llm.types.media_requests import ImageRequest, MediaFile

_NAMES: Final[Mapping[str, str]] = {
    "n": "n",
    "size": "size",
    "quality": "quality",
    "format": "output_format",
    "background": "background",
    "partial_images": "partial_images",
}
_SETTINGS: Final = ("size", "quality", "background")


def write_image(request: ImageRequest, target: Target) -> WireRequest:
    """Write a request for images: JSON for new ones, a form for edits."""
    settings = fit_fields(set_fields(request, _NAMES, target), target)
    body = {"model": target.model, "prompt": request.prompt, **settings}
    if request.stream:
        body["stream"] = True
    body = {**body, **target.extra_body, **request.extra_body}
    if not request.images:
        return post("/images/generations", body, target, stream=request.stream)
    if target.quirks.edits_as_json:
        return post("/images/edits", {**images_in_json(request, target), **body}, target, stream=request.stream)
    further = {name: value for name, value in body.items() if isinstance(value, MediaFile)}  # such as a ``markup``
    texts = form_fields({name: value for name, value in body.items() if name not in further})
    return post_form("/images/edits", [*texts, *_files(request), *further.items()], target, stream=request.stream)


def _files(request: ImageRequest) -> Iterator[tuple[str, MediaFile]]:
    name = "image" if len(request.images) == 1 else "image[]"
    yield from ((name, image) for image in request.images)
    if request.mask is not None:
        yield "mask", request.mask


def read_image(request: ImageRequest, body: object, target: Target) -> Done | Failure:
    """Read a response with images."""
    del request
    if not is_object(body):
        return Failure("malformed")
    if body.get("error"):
        return read_error(body, target)
    items = body.get("data")
    if not is_list(items):
        return Failure("malformed")
    made_as = text_or_none(body.get("output_format"))
    images = [image for item in items if is_object(item) and (image := _read_item(item, made_as))]
    if not images:
        return Failure("filter" if any(map(_is_blocked, items)) else "empty")
    return Done(
        ImageResponse(
            tuple(images),
            model=text_or_none(body.get("model")) or "",
            format=images[0].format,
            usage=read_media_usage(body),
            raw=body,
            **_settings(body),
        )
    )


def _read_item(item: Mapping[str, Any], made_as: str | None) -> Image | None:
    url, data = text_or_none(item.get("url")), decode_bytes(item.get("b64_json"))
    if (url is None and data is None) or _is_blocked(item):
        return None
    return Image(url, data, text_or_none(item.get("revised_prompt")), first_of((image_format(data), made_as)))


def _is_blocked(item: object) -> bool:
    """Return whether a filter blocked an image (xAI)."""
    return is_object(item) and item.get("respect_moderation") is False


def _settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the provider chose or confirms."""
    return {name: text_or_none(body.get(name)) for name in _SETTINGS}


class ImageEvents:
    """Decoder of a stream of images. It ends with the body: after one complete image another may come."""

    def __init__(self, request: ImageRequest, target: Target) -> None:
        del request
        self._target = target
        self._complete: list[ImageChunk] = []

    def feed(self, event: ServerSentEvent) -> Sequence[ImageChunk | Done | Failure]:
        """Decode one event."""
        body = read_event(event, self._target)
        if isinstance(body, Done):
            return [self.finish()]
        if body is None or isinstance(body, Failure):
            return [] if body is None else [body]
        kind = str(body.get("type"))
        if not kind.endswith((".partial_image", ".completed")):
            return []
        data = decode_bytes(body.get("b64_json"))
        if data is None:
            return [Failure("malformed")]
        chunk = ImageChunk(
            data,
            index=non_negative_int(body.get("partial_image_index")) or 0,
            complete=kind.endswith(".completed"),
            format=first_of((image_format(data), text_or_none(body.get("output_format")))),
            usage=read_media_usage(body),
            raw=body,
            **_settings(body),
        )
        if chunk.complete:
            self._complete.append(chunk)
        return [chunk]

    def finish(self) -> Done | Failure:
        """End the stream: with the complete images, or as truncated where there is none."""
        if not self._complete:
            return Failure("truncated")
        first = self._complete[0]
        images = tuple(Image(data=chunk.data, format=chunk.format) for chunk in self._complete)
        return Done(
            ImageResponse(
                images,
                format=first.format,
                size=first.size,
                quality=first.quality,
                background=first.background,
                usage=reduce(add_usage, [chunk.usage for chunk in self._complete]),
            )
        )
