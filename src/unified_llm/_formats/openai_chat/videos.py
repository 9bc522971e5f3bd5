"""Videos by OpenAI's API: a job is created, looked at until it is done, and its video fetched.

Written from the types of OpenAI's SDK (types/video_create_params.py, video.py, video_download_content_params.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlencode

from unified_llm._core.codec import WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.paths import segment
from unified_llm._core.target import Target
from unified_llm._formats.json_values import brief, is_object, object_or_empty, text_or_none
from unified_llm._formats.media_fields import set_fields
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.request_fields import form_fields, get, post_form
from unified_llm._lib.bounded_json import finite
from unified_llm._lib.file_types import type_of_data
from unified_llm.types.media import VideoJob, VideoResponse
from unified_llm.types.media_requests import MediaFile, VideoContentRequest, VideoJobRequest, VideoRequest

_Status = Literal["queued", "in_progress", "completed", "failed"]
_NAMES: Final[Mapping[str, str]] = {"seconds": "seconds", "size": "size"}
# The names of servers that imitate the API, besides its own.
_STATUSES: Final[Mapping[str, _Status]] = {
    "queued": "queued", "pending": "queued", "in_progress": "in_progress", "processing": "in_progress",
    "running": "in_progress", "completed": "completed", "succeeded": "completed", "failed": "failed",
    "cancelled": "failed", "expired": "failed",
}  # fmt: skip


def write_video(request: VideoRequest, target: Target) -> WireRequest:
    """Write a request for a new job."""
    body = {"prompt": request.prompt, "model": target.model, **set_fields(request, _NAMES, target)}
    fields: list[tuple[str, str | MediaFile]] = [
        *form_fields({**body, **target.extra_body, **request.extra_body}),
    ]
    if request.image is not None:
        fields.append(("input_reference", request.image))
    return post_form("/videos", fields, target)


def write_video_job(request: VideoJobRequest, target: Target) -> WireRequest:
    """Write a request for the state of a job."""
    return get(f"/videos/{segment(request.job)}", target)


def read_video_job(request: VideoRequest | VideoJobRequest, body: object, target: Target) -> Done | Failure:
    """Read the state of a job, which may be new."""
    del request
    if not is_object(body):
        return Failure("malformed")
    status = _STATUSES.get(str(body.get("status")).lower())
    identifier = text_or_none(body.get("id"))
    if identifier is None or status is None:
        return read_error(body, target) if body.get("error") else Failure("malformed")
    error = body.get("error") if status == "failed" else None
    return Done(
        VideoJob(
            identifier,
            status,
            progress=finite(body.get("progress")),
            url=text_or_none(body.get("url")),
            error=text_or_none(object_or_empty(error).get("code")),
            detail=brief(object_or_empty(error).get("message")) or brief(error),
            blocked=error is not None and _is_blocked(error, target),
            model=text_or_none(body.get("model")) or "",
            seconds=_seconds(body.get("seconds")),
            size=text_or_none(body.get("size")),
            raw=body,
        )
    )


def _is_blocked(error: Any, target: Target) -> bool:
    return read_error({"error": error}, target).kind == "filter"


def _seconds(value: object) -> float | None:
    """Return the length, which is a text in OpenAI's own responses."""
    if isinstance(value, str):
        try:
            return finite(float(value))
        except ValueError:
            return None
    return finite(value)


def write_video_content(request: VideoContentRequest, target: Target) -> WireRequest:
    """Write a request for the video of a job."""
    query = f"?{urlencode({'variant': request.variant})}" if request.variant else ""
    return get(f"/videos/{segment(request.job)}/content{query}", target, returns="bytes")


def read_video_content(request: VideoContentRequest, body: object, target: Target) -> Done | Failure:
    """Read the video."""
    if not isinstance(body, bytes):
        return read_error(body, target) if object_or_empty(body).get("error") else Failure("malformed")
    media_type = type_of_data(body) or "video/mp4"
    return Done(VideoResponse(body, media_type.partition("/")[2], job=request.job))
