"""Images: generations, edits and variations, whole and as events with partial images.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openai.types import (
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
    ImagesResponse,
)

from integration_tests.fakes.openai_api.known_models import require_model
from integration_tests.fakes.openai_api.replies import JSON, APIError, Reply, as_events, as_json
from integration_tests.fakes.openai_api.requests import Part, Received
from integration_tests.fakes.openai_api.sdk_types import check_form, check_request, check_response
from integration_tests.fakes.openai_api.store import CREATED, Store
from integration_tests.support.media import PNG

if TYPE_CHECKING:
    from openai import BaseModel

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
_SIZE = re.compile(r"(\d+)x(\d+)")
_DALLE_SIZES = {
    "dall-e-2": {"256x256", "512x512", "1024x1024"},
    "dall-e-3": {"1024x1024", "1792x1024", "1024x1792"},
}
# What GPT image models alone take, and what they do not.
_GPT_FIELDS = ("background", "moderation", "output_compression", "output_format", "partial_images", "stream")
_DALLE_FIELDS = ("response_format", "style")
_EVENTS: Mapping[str, type[BaseModel]] = {
    "image_generation.partial_image": ImageGenPartialImageEvent,
    "image_generation.completed": ImageGenCompletedEvent,
    "image_edit.partial_image": ImageEditPartialImageEvent,
    "image_edit.completed": ImageEditCompletedEvent,
}


def generate(store: Store, received: Received) -> Reply:
    body = received.body
    kind = "Streaming" if body.get("stream") is True else "NonStreaming"
    check_request(f"image_generate_params:ImageGenerateParams{kind}", body)
    body = {"model": "gpt-image-1-mini"} | body
    _check(body)
    return _reply(body, "image_generation")


def edit(store: Store, received: Received) -> Reply:
    kind = "Streaming" if received.body.get("stream") == "true" else "NonStreaming"
    body = check_form(f"image_edit_params:ImageEditParams{kind}", received, "image", "mask", "markup")
    body = _with_numbers({"model": "gpt-image-1-mini"} | body)
    _check(body)
    images = received.files("image")
    if not 1 <= len(images) <= (1 if body["model"] == "dall-e-2" else 16):
        raise APIError(400, "You can provide up to 16 images.", param="image")
    if received.files("markup") and (received.files("mask") or "2.5" not in body["model"]):
        raise APIError(400, "markup is for GPT Image 2.5, and without a mask.", param="markup")
    for image in (*images, *received.files("mask"), *received.files("markup")):
        _check_image(image)
    return _reply(body, "image_edit", inputs=len(images))


def vary(store: Store, received: Received) -> Reply:
    body = check_form("image_create_variation_params:ImageCreateVariationParams", received, "image")
    body = _with_numbers({"model": "dall-e-2"} | body)
    if body["model"] != "dall-e-2":
        raise APIError(400, "Variations are for dall-e-2 alone.", param="model")
    _check(body | {"prompt": ""})
    _check_image(received.files("image")[0])
    return _reply(body | {"prompt": "variation"}, "image_variation", inputs=1)


def _with_numbers(body: JSON) -> JSON:
    names = {"n", "partial_images", "output_compression"}
    return {name: int(value) if name in names else value for name, value in body.items()}


def _check_image(image: Part) -> None:
    if not image.data.startswith(_MAGIC):
        raise APIError(400, "Invalid image file or mode.", code="invalid_image_file", param="image")


def _check(body: JSON) -> None:
    require_model(body, "image")
    is_gpt = body["model"].startswith("gpt-image")
    for name in _DALLE_FIELDS if is_gpt else _GPT_FIELDS:
        if body.get(name):
            raise APIError(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
    qualities = {"auto", "low", "medium", "high", "xhigh", "max"} if is_gpt else {"standard", "hd"}
    if body.get("quality", "auto") not in qualities | {"auto", None}:
        raise APIError(400, f"Invalid value: '{body['quality']}'.", code="invalid_value", param="quality")
    _check_numbers(body)
    _check_size(body["model"], body.get("size") or "auto", is_gpt=is_gpt)
    if body.get("svg") and body.get("output_format") != "svg":
        raise APIError(400, "svg requires output_format=svg.", param="svg")
    if len(body["prompt"]) > (32000 if is_gpt else 4000):
        raise APIError(400, "The prompt is too long.", code="string_above_max_length", param="prompt")


def _check_numbers(body: JSON) -> None:
    limits = {
        "n": (1, 1 if body["model"] == "dall-e-3" else 10),
        "partial_images": (0, 3),
        "output_compression": (0, 100),
    }
    for name, (least, most) in limits.items():
        if body.get(name) is not None and not least <= body[name] <= most:
            raise APIError(400, f"'{name}' must be between {least} and {most}.", code="invalid_value", param=name)
    if body.get("output_compression") is not None and body.get("output_format") not in {"jpeg", "webp"}:
        raise APIError(400, "output_compression is for webp and jpeg.", param="output_compression")
    if body.get("partial_images") and not body.get("stream"):
        raise APIError(400, "partial_images is for streams.", param="partial_images")
    if body.get("background") == "transparent" and body.get("output_format") not in {None, "png", "webp"}:
        raise APIError(400, "Transparent backgrounds are for png and webp.", param="background")


def _check_size(model: str, size: str, *, is_gpt: bool) -> None:
    if size == "auto" or size in _DALLE_SIZES.get(model, ()):
        return
    match = _SIZE.fullmatch(size)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    standard = size in {"1024x1024", "1536x1024", "1024x1536"}
    is_any = (
        model.startswith("gpt-image-2") and match and width % 16 == height % 16 == 0 and 1 / 3 <= width / height <= 3
    )
    if not is_gpt or not (standard or is_any):
        raise APIError(400, f"Invalid value: '{size}'.", code="invalid_value", param="size")


def _reply(body: JSON, kind: str, inputs: int = 0) -> Reply:
    if body.get("stream"):
        return as_events(_events(body, kind, inputs), named=True, done=False)
    count = body.get("n") or 1
    if body["model"].startswith("gpt-image"):
        data: list[JSON] = [{"b64_json": _encoded(number)} for number in range(count)]
        whole = {"created": CREATED, "data": data} | _settings(body) | {"usage": _usage(body, inputs, count)}
    else:
        revised = {"revised_prompt": f"A picture: {body['prompt']}"} if body["model"] == "dall-e-3" else {}
        as_url = body.get("response_format") != "b64_json"
        data = [
            ({"url": f"https://images.example.org/{number}.png"} if as_url else {"b64_json": _encoded(number)})
            | revised
            for number in range(count)
        ]
        whole = {"created": CREATED, "data": data}
    check_response(ImagesResponse, whole)
    return as_json(whole)


def _encoded(number: int) -> str:
    return base64.b64encode(PNG + bytes([number])).decode()


def _settings(body: JSON) -> JSON:
    """Return what the service chose where the request says ``auto`` or nothing."""
    chosen: dict[str, Any] = {"background": "opaque", "output_format": "png", "quality": "medium", "size": "1024x1024"}
    return {name: body[name] if body.get(name) not in {None, "auto"} else value for name, value in chosen.items()}


def _usage(body: JSON, inputs: int, count: int) -> JSON:
    read, written = len(body["prompt"].split()), 256 * count
    details = {"text_tokens": read, "image_tokens": 100 * inputs}
    total = read + 100 * inputs
    return {
        "input_tokens": total,
        "input_tokens_details": details,
        "output_tokens": written,
        "total_tokens": total + written,
    }


def _events(body: JSON, kind: str, inputs: int) -> Iterator[JSON]:
    common = _settings(body) | {"created_at": CREATED}
    partial: Sequence[JSON] = [
        {"type": f"{kind}.partial_image", "partial_image_index": index, "b64_json": _encoded(index)} | common
        for index in range(body.get("partial_images") or 0)
    ]
    usage = _usage(body, inputs, 1)
    for event in (*partial, {"type": f"{kind}.completed", "b64_json": _encoded(9), "usage": usage} | common):
        check_response(_EVENTS[event["type"]], event)
        yield event


ROUTES = {
    "POST images/generations": generate,
    "POST images/edits": edit,
    "POST images/variations": vary,
}
