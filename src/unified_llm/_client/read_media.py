"""Requests for media, made from what users pass to ``generate_image`` and the others.

Values that no provider accepts are refused here, before anything is sent. No message repeats a prompt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from unified_llm._client.read_request import check_whole_number, read_extra_body
from unified_llm._core.seconds import SecondsError, read_seconds
from unified_llm._lib.bounded_json import finite
from unified_llm._lib.close_names import closest
from unified_llm._lib.file_types import type_of_name
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import AudioPart, ImagePart
from unified_llm.types.local_parts import audio_part, uploaded_image
from unified_llm.types.media_requests import (
    ImageRequest,
    MediaFile,
    SpeechRequest,
    TranscriptionRequest,
    VideoRequest,
)

# Names that others give a field: those of OpenAI's API are among them.
_OTHER_NAMES: Final[Mapping[str, str]] = {
    "response_format": "format", "output_format": "format", "image": "images", "input": "text", "file": "audio",
    "timestamp_granularities": "timestamps", "input_reference": "image", "duration": "seconds", "num_images": "n",
    "resolution": "size", "prompt": "text",
}  # fmt: skip
_STREAMS: Final[Mapping[str, str]] = {
    "generate_image": "stream_image()",
    "generate_speech": "stream_speech()",
    "transcribe": "stream_transcription()",
}
_GRANULARITIES: Final = ("word", "segment")
_MOST_PARTIAL: Final = 3
# Endings that files are sent with, by which providers tell their formats.
_ENDINGS: Final[Mapping[str, str]] = {"mpeg": "mp3", "quicktime": "mov"}


def image(prompt: Any, images: Any, mask: Any, given: Mapping[str, Any], *, stream: bool) -> ImageRequest:
    """Make a request for images.

    Raises:
        ValidationError: A value cannot be right, or an image cannot be read.
    """
    method = "stream_image" if stream else "generate_image"
    _refuse(given, ImageRequest, {"prompt", "images", "mask", "stream"}, method)
    request = ImageRequest(
        _text("prompt", prompt, method),
        images=tuple(_image_file(image, number) for number, image in enumerate(_several(images))),
        mask=None if mask is None else _image_file(mask, 0, "mask"),
        stream=stream,
        **_known(given),
    )
    if request.mask is not None and not request.images:
        raise ValidationError("mask says where an image is edited: pass the image as images=.")
    _check_texts(request, "model", "size", "quality", "format", "background")
    check_whole_number("n", request.n, 1)
    check_whole_number("partial_images", request.partial_images, 0)
    if request.partial_images is not None and (request.partial_images > _MOST_PARTIAL or not stream):
        raise ValidationError("partial_images is 0 to 3, and for stream_image() alone.")
    return request


def speech(text: Any, given: Mapping[str, Any], *, stream: bool) -> SpeechRequest:
    """Make a request to read a text aloud.

    Raises:
        ValidationError: A value cannot be right.
    """
    method = "stream_speech" if stream else "generate_speech"
    _refuse(given, SpeechRequest, {"text", "stream"}, method)
    request = SpeechRequest(_text("text", text, method), stream=stream, **_known(given))
    _check_texts(request, "model", "voice", "format", "instructions")
    _check_number("speed", request.speed, least=0.0, is_least_allowed=False)
    return request


def transcription(audio: Any, given: Mapping[str, Any], *, stream: bool) -> TranscriptionRequest:
    """Make a request to transcribe a recording.

    Raises:
        ValidationError: A value cannot be right, or the recording cannot be read.
    """
    method = "stream_transcription" if stream else "transcribe"
    _refuse(given, TranscriptionRequest, {"audio", "stream"}, method)
    fields_given = _known(given)
    timestamps = _read_timestamps(fields_given.pop("timestamps", None))
    request = TranscriptionRequest(_audio_file(audio), timestamps=timestamps, stream=stream, **fields_given)
    _check_texts(request, "model", "language", "prompt", "format")
    _check_number("temperature", request.temperature, least=0.0)
    if not isinstance(request.translate, bool):
        raise ValidationError("translate must be True or False.")
    return request


def video(prompt: Any, picture: Any, given: Mapping[str, Any]) -> VideoRequest:
    """Make a request for a video.

    Raises:
        ValidationError: A value cannot be right, or the first picture cannot be read.
    """
    _refuse(given, VideoRequest, {"prompt", "image"}, "generate_video")
    first = None if picture is None else _image_file(picture, 0, "image")
    request = VideoRequest(_text("prompt", prompt, "generate_video"), image=first, **_known(given))
    _check_texts(request, "model", "size")
    check_whole_number("seconds", request.seconds, 1)
    return request


def read_poll_interval(value: Any) -> float | None:
    """Return the seconds between two looks at a job, or None.

    Raises:
        ValidationError: It is no number of seconds.
    """
    try:
        return None if value is None else read_seconds(value, or_none=False)
    except SecondsError as wrong:
        raise ValidationError(f"poll_interval {wrong}.") from None


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    known = dict(given)
    if "extra_body" in known:
        known["extra_body"] = read_extra_body(known["extra_body"])
    if isinstance(name := known.get("format"), str):  # which says here as well what comes back
        known["format"] = name.lower()
    return known


def _refuse(given: Collection[Any], kind: type, positional: Collection[str], method: str) -> None:
    """Refuse names that are no fields of a request.

    Raises:
        ValidationError: There is one; the message says which was meant.
    """
    names = {field.name for field in fields(kind)} - set(positional)
    for name in given:
        if name in names:
            continue
        text = str(name)
        if text == "stream" and method in _STREAMS:
            hint = f"call {_STREAMS[method]}."
        elif text == "hedge_after":
            hint = "only chats are sent to two targets at once."
        elif (near := _OTHER_NAMES.get(text) or closest(text, names)) and near in {*names, *positional}:
            hint = f"did you mean {near!r}? (Fields that only some providers know go into extra_body={{...}}.)"
        else:
            hint = "fields that only some providers know go into extra_body={...}."
        raise ValidationError(f"{method}() has no argument {text!r}: {hint}")


def _text(name: str, value: Any, method: str) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{method}() needs a string as {name}; got {type(value).__name__}.")
    if not value.strip():
        raise ValidationError(f"{method}() needs a {name}; it is empty.")
    return value


def _check_texts(request: object, *names: str) -> None:
    for name in names:
        if not isinstance(value := getattr(request, name), (str, type(None))):
            raise ValidationError(f"{name} is a string; got {type(value).__name__}.")
        if value is not None and not value.strip():
            raise ValidationError(f"{name} is empty: leave it out.")


def _check_number(name: str, value: Any, *, least: float, is_least_allowed: bool = True) -> None:
    if value is None:
        return
    number = None if isinstance(value, bool) else finite(value)
    if number is None or number < least or (number == least and not is_least_allowed):
        raise ValidationError(f"{name} must be a number {'of at least' if is_least_allowed else 'above'} {least:g}.")


def _read_timestamps(value: Any) -> tuple[Any, ...]:
    values = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(values, (tuple, list)) or any(item not in _GRANULARITIES for item in values):
        raise ValidationError('timestamps is "word", "segment", or a list of both.')
    return tuple(values)


# Files


def _several(images: Any) -> Iterable[Any]:
    if images is None:
        return ()
    is_one = isinstance(images, (str, bytes, bytearray, Mapping)) or hasattr(images, "read")
    return images if isinstance(images, Iterable) and not is_one else (images,)


def _image_file(source: Any, number: int, argument: str = "images") -> MediaFile:
    """Read an image that is sent as a file.

    Raises:
        ValidationError: It cannot be read, or it is a URL, which is never fetched.
    """
    if isinstance(source, MediaFile):
        return source
    part: ImagePart = uploaded_image(source)
    if part.data is None:
        raise ValidationError(f"{argument} takes no URL: download the image, and pass its path or bytes.")
    ending = part.media_type.partition("/")[2]
    return MediaFile(part.data, f"image{number or ''}.{_ENDINGS.get(ending, ending)}", part.media_type)


def _audio_file(source: Any) -> MediaFile:
    """Read a recording; the ending of its name says its format.

    Raises:
        ValidationError: It cannot be read, or it is a URL, which is never fetched.
    """
    if isinstance(source, MediaFile):
        return source
    part: AudioPart = audio_part(source)
    name = f"audio.{part.format}"
    return MediaFile(part.data, name, type_of_name(name) or "application/octet-stream")
