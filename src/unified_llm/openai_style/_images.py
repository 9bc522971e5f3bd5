"""``client.images``: images of any target that makes them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from unified_llm._core import runtime
from unified_llm.openai_style._media_streams import aopen_stream, open_stream
from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style._omitted import NOT_GIVEN
from unified_llm.openai_style._plain import plain
from unified_llm.openai_style._raw_calls import AsyncRawCalls, RawCall, RawCalls
from unified_llm.openai_style._records import with_record
from unified_llm.openai_style._resource import Call, Resource, family_errors
from unified_llm.openai_style._responses_output import write_usage
from unified_llm.openai_style._streams import event_bodies
from unified_llm.openai_style._uploads import beside_loop, form_of, read_upload
from unified_llm.openai_style.types.image_edit_completed_event import ImageEditCompletedEvent
from unified_llm.openai_style.types.image_edit_partial_image_event import ImageEditPartialImageEvent
from unified_llm.openai_style.types.image_gen_completed_event import ImageGenCompletedEvent
from unified_llm.openai_style.types.image_gen_partial_image_event import ImageGenPartialImageEvent
from unified_llm.openai_style.types.images_response import ImagesResponse
from unified_llm.types.media import ImageChunk, ImageResponse
from unified_llm.types.media_requests import ImageRequest
from unified_llm.types.raw import RawChunk, RawRequest

# Fields of the API -> fields of our request.
_NAMES: Final[Mapping[str, str]] = {
    "n": "n", "size": "size", "quality": "quality", "output_format": "format", "background": "background",
    "partial_images": "partial_images",
}  # fmt: skip
_FILES: Final = ("image", "mask", "markup")
_GENERATION: Final = "image_generation"
_EDIT: Final = "image_edit"
_EVENTS: Final[Mapping[str, type[OpenAIObject]]] = {
    f"{_GENERATION}.partial_image": ImageGenPartialImageEvent,
    f"{_GENERATION}.completed": ImageGenCompletedEvent,
    f"{_EDIT}.partial_image": ImageEditPartialImageEvent,
    f"{_EDIT}.completed": ImageEditCompletedEvent,
}


class _Shared(Resource):
    """Base of the sync and the async resource."""

    PATH = "images"

    def _read_image(self, given: Mapping[str, Any], *, edits: bool) -> tuple[ImageRequest | RawRequest, Call]:
        """Return the request of a call, and what says how to send it.

        Without a model the request goes to the provider of the client as it is, which chooses one.

        Raises:
            ValidationError: An argument makes no sense, or a file cannot be read.
            ConfigurationError: The target of the call lacks a key, a URL or a package.
        """
        body, call = self._read(given, needs_model=False)
        if body.get("model") is None:
            return _without_model(body, edits=edits), call
        body = {name: value if name in _FILES else plain(value) for name, value in body.items() if name != "model"}
        images, mask = body.pop("image", None), body.pop("mask", None)
        if (markup := body.get("markup")) is not None:  # which no other API has
            body["markup"] = read_upload("markup", markup)
        images = images if isinstance(images, list) else [images] if images is not None else []
        named = {ours: body.pop(name) for name, ours in _NAMES.items() if body.get(name) is not None}
        request = ImageRequest(
            body.pop("prompt"),
            call.model,
            tuple(read_upload("image", image) for image in images),
            None if mask is None else read_upload("mask", mask),
            stream=bool(body.pop("stream", False)),
            extra_body=body,
            **named,
        )
        return request, call


class Images(_Shared, RawCalls):
    """Images."""

    def generate(self, *, prompt: str, **fields: Any) -> Any:
        """Make images.

        Args:
            prompt: What they show.
            **fields: The arguments of OpenAI's SDK: ``model``, ``n``, ``size``, ``quality``, ``output_format``,
                ``response_format``, ``stream``, ``partial_images`` ...; and options of the call.

        Returns:
            An ``ImagesResponse``; with ``stream=True`` a stream of events.

        Raises:
            OpenAIError: The request is wrong, or no target made images.
        """
        return self._make({"prompt": prompt, **fields}, edits=False)

    def edit(self, *, image: Any, prompt: str, **fields: Any) -> Any:
        """Edit images.

        Args:
            image: One or a list of several: bytes, a ``pathlib.Path``, a file that is open in binary mode, or a tuple
                of a name and one of these (and a media type).
            prompt: How to change them.
            **fields: ``mask`` and others, as for ``generate``.
        """
        return self._make({"image": image, "prompt": prompt, **fields}, edits=True)

    def create_variation(self, *, image: Any, **fields: Any) -> ImagesResponse:
        """Make variations of an image. OpenAI has shut this down; servers that imitate its API may have it.

        Args:
            image: The image, as for ``edit``.
            **fields: ``n``, ``size``, ``response_format`` ..., and options of the call.
        """
        return self._send(_variation({"image": image, **fields}))

    def _make(self, given: Mapping[str, Any], *, edits: bool) -> Any:
        with family_errors():
            request, call = self._read_image(given, edits=edits)
        if request.stream:
            return open_stream(call.client, request, call.options, _events_for(edits=edits))
        with family_errors():
            return images_of(call.client.run_request(request, call.options))


class AsyncImages(_Shared, AsyncRawCalls):
    """The same as ``Images``, with async methods."""

    async def generate(self, *, prompt: str, **fields: Any) -> Any:
        """Do the same as ``Images.generate``."""
        return await self._make({"prompt": prompt, **fields}, edits=False)

    async def edit(self, *, image: Any, prompt: str, **fields: Any) -> Any:
        """Do the same as ``Images.edit``."""
        return await self._make({"image": image, "prompt": prompt, **fields}, edits=True)

    async def create_variation(self, *, image: Any, **fields: Any) -> ImagesResponse:
        """Do the same as ``Images.create_variation``."""
        return await self._send(_variation({"image": image, **fields}))

    async def _make(self, given: Mapping[str, Any], *, edits: bool) -> Any:
        with family_errors():
            if edits:
                request, call = await beside_loop(partial(self._read_image, edits=True), given)
            else:
                request, call = self._read_image(given, edits=False)
        if request.stream:
            return await aopen_stream(call.client, request, call.options, _events_for(edits=edits))
        with family_errors():
            return images_of(await call.client.arun_request(request, call.options))


def _without_model(body: Mapping[str, Any], *, edits: bool) -> RawRequest:
    stream = bool(body.get("stream"))
    if edits:
        form = form_of(body, _FILES)
        return RawRequest("POST", "/images/edits", "edit_image", form=form, stream=stream, one_account=True)
    return RawRequest(
        "POST", "/images/generations", "generate_image", body=plain(body), stream=stream, one_account=True
    )


def _variation(given: dict[str, Any]) -> RawCall[ImagesResponse]:
    read = ImagesResponse.from_json
    return RawCall("POST", "/images/variations", "edit_image", {"model": NOT_GIVEN, **given}, read, files=_FILES)


def images_of(response: Any) -> ImagesResponse:
    """Return the provider's own response where it has that shape, else one that is made of ours."""
    raw: Any = response.raw if isinstance(response, ImageResponse) else response.value
    is_own = isinstance(raw, Mapping) and isinstance(raw.get("data"), list) and "created" in raw
    return with_record(ImagesResponse.from_json(raw if is_own else _make(response)), response)


def _make(response: ImageResponse) -> dict[str, Any]:
    data = [
        {
            "b64_json": None if image.data is None else base64.b64encode(image.data).decode(),
            "revised_prompt": image.revised_prompt,
            "url": image.url,
        }
        for image in response.images
    ]
    return {
        "created": int(runtime.current().wall()),
        "background": response.background,
        "data": data,
        "output_format": response.format,
        "quality": response.quality,
        "size": response.size,
        "usage": response.usage and write_usage(response.usage),
    }


def _events_for(*, edits: bool) -> Callable[[Any], Iterator[OpenAIObject]]:
    """Return what makes events of the chunks of a stream."""
    kind = _EDIT if edits else _GENERATION

    def convert(chunk: Any) -> Iterator[OpenAIObject]:
        if isinstance(chunk, RawChunk):
            yield from map(_event_of, event_bodies((chunk.data,)))
        elif isinstance(chunk, ImageChunk):
            raw = chunk.raw
            is_own = isinstance(raw, Mapping) and raw.get("type") in _EVENTS
            yield _event_of(raw if is_own else _make_event(kind, chunk))

    return convert


def _event_of(body: Mapping[str, Any]) -> OpenAIObject:
    return _EVENTS.get(str(body.get("type")), OpenAIObject).from_json(body)


def _make_event(kind: str, chunk: ImageChunk) -> dict[str, Any]:
    event: dict[str, Any] = {
        "type": f"{kind}.{'completed' if chunk.complete else 'partial_image'}",
        "b64_json": base64.b64encode(chunk.data).decode(),
        "background": chunk.background or "auto",
        "created_at": int(runtime.current().wall()),
        "output_format": chunk.format,
        "quality": chunk.quality or "auto",
        "size": chunk.size or "auto",
    }
    if chunk.complete:
        return {**event, "usage": chunk.usage and write_usage(chunk.usage)}
    return {**event, "partial_image_index": chunk.index}
