"""Helpers of the formats for media: fields of requests, and what a body of bytes is."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.json_values import count, is_object, object_or_empty
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.request_fields import apply_quirks
from unified_llm._lib.bounded_json import JSONError, parse_lenient
from unified_llm._lib.file_types import type_of_data
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.content import audio_format
from unified_llm.types.records import Usage

_END: Final = "[DONE]"


def set_fields(request: object, names: Mapping[str, str], target: Target) -> dict[str, Any]:
    """Return the fields of a request for media that are set and that the target takes, under the names of its API.

    Args:
        request: The request.
        names: The name in the API for each of our names.
        target: Its quirks ``drop`` and ``rename`` are by our names.
    """
    given = {name: value for name in names if (value := getattr(request, name)) is not None and value != ()}
    return {
        names.get(name, name): list(value) if isinstance(value, tuple) else value
        for name, value in apply_quirks(given, target).items()
    }


def decode_bytes(text: object) -> bytes | None:
    """Return the bytes of base64; None where it is something else."""
    if not isinstance(text, str) or not text:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def image_format(data: bytes | None) -> str | None:
    """Return the format of an image by its first bytes: ``png``, ``jpeg``, ``webp`` ...; None if it is unknown."""
    media_type = type_of_data(data) if data else None
    return media_type.removeprefix("image/") if media_type and media_type.startswith("image/") else None


def sound_format(data: bytes, requested: str | None, usual: str) -> str:
    """Return the format of a recording by its first bytes; else the requested one, or what is usual."""
    media_type = type_of_data(data)
    if requested == "opus" and media_type == "audio/ogg":  # which is Opus in an Ogg container
        return requested
    if media_type and media_type.startswith("audio/"):
        return audio_format(media_type)
    return requested or usual


def read_event(event: ServerSentEvent, target: Target) -> Mapping[str, Any] | Done | Failure | None:
    """Read one event of a stream of media: its JSON, a failure, or None where it says nothing.

    ``Done(None)`` stands for ``[DONE]``, after which nothing comes.
    """
    data = event.data.strip() if len(event.data) < 16 else event.data
    if not data or data == _END:
        return Done(None) if data else None
    try:
        body = parse_lenient(data)
    except JSONError:
        return Failure("malformed")
    if not is_object(body):
        return Failure("malformed")
    if event.event == "error" or body.get("type") == "error" or body.get("error"):
        return read_error(body, target)
    return body


def read_media_usage(body: Mapping[str, Any]) -> Usage | None:
    """Read the tokens of a request for media; None where the provider counts none, or seconds."""
    usage = body.get("usage")
    if not is_object(usage) or not usage or usage.get("type") == "duration":
        return None
    given = count(usage.get("input_tokens") or usage.get("prompt_tokens"))
    made = count(usage.get("output_tokens") or usage.get("completion_tokens"))
    details = object_or_empty(usage.get("input_token_details") or usage.get("input_tokens_details"))
    return Usage(
        prompt_tokens=given,
        completion_tokens=made,
        total_tokens=max(count(usage.get("total_tokens")), given + made),
        audio_tokens=count(details.get("audio_tokens")),
    )


def first_of(values: Sequence[str | None]) -> str | None:
    """Return the first value that is known."""
    return next((value for value in values if value), None)
