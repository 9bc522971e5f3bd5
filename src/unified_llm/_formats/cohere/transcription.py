"""Transcriptions of Cohere: a form with the recording and its language, and a text back.

Sources: docs.cohere.com/docs/transcribe, and ``audio/transcriptions`` of the official SDK.
"""

from __future__ import annotations

from typing import Any, Final

from unified_llm._core.codec import WireRequest
from unified_llm._core.dropped_settings import report_dropped
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.cohere.errors import read_error
from unified_llm._formats.json_values import is_object
from unified_llm._formats.make_codec import FurtherRequests
from unified_llm._formats.request_fields import form_fields, post_form
from unified_llm.exceptions import ValidationError
from unified_llm.types.media import Transcription
from unified_llm.types.media_requests import MediaFile, TranscriptionRequest

_NOT_SENT: Final = ("prompt", "format", "timestamps")


def write_transcription(request: TranscriptionRequest, target: Target) -> WireRequest:
    """Write a request to transcribe a recording.

    Raises:
        ValidationError: The request does not say which language it is in.
    """
    if request.language is None:
        raise ValidationError("it has to know which language a recording is in: pass language=.")
    for name in _NOT_SENT:
        if getattr(request, name):
            report_dropped(name, target.name, "whose format has no such field")
    body: dict[str, Any] = {"model": target.model, "language": request.language, "temperature": request.temperature}
    fields = form_fields({**body, **target.extra_body, **request.extra_body})
    form: list[tuple[str, str | MediaFile]] = [*fields, ("file", request.audio)]
    return post_form("/v2/audio/transcriptions", form, target)


def read_transcription(request: TranscriptionRequest, body: object, target: Target) -> Done | Failure:
    """Read a transcription, which is empty for a recording without a word."""
    if not is_object(body):
        return Failure("malformed")
    text = body.get("text")
    if not isinstance(text, str):
        return read_error(body, target) if isinstance(body.get("message"), str) else Failure("malformed")
    return Done(Transcription(text, language=request.language, raw=body))


FURTHER: Final = FurtherRequests({TranscriptionRequest: (write_transcription, read_transcription)})
