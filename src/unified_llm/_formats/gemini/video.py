"""Videos of Gemini Omni, which the Interactions API makes in the background.

A job is an interaction: it is created, looked at until it is done, and read once more with the video in it, as base64.
Sources: ai.google.dev/gemini-api/docs/omni, and the types of google-genai 3.3 (``_gaos/types/interactions``). Veo's
``:predictLongRunning`` was shut down there on 22 October 2026.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from unified_llm._core.codec import WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.paths import segment
from unified_llm._core.target import Target
from unified_llm._formats.finish_reasons import finish_reason_of
from unified_llm._formats.gemini.errors import read_error
from unified_llm._formats.gemini.response import read_body
from unified_llm._formats.json_values import is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.media_fields import decode_bytes
from unified_llm._formats.media_sizes import nearest_ratio, pixels_of
from unified_llm._formats.request_fields import get, post, registered_type
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types.media import VideoJob, VideoResponse
from unified_llm.types.media_requests import VideoContentRequest, VideoJobRequest, VideoRequest

_Status = Literal["queued", "in_progress", "completed", "failed"]
_RATIOS: Final = ("16:9", "9:16")
# Pixels of the shorter side, up to which a resolution is named.
_RESOLUTIONS: Final = ((540, "360p"), (900, "720p"), (1440, "1080p"))
_LARGEST: Final = "4k"
# Any other one is an end without a video: failed, cancelled, incomplete, budget_exceeded, requires_action.
_STATUSES: Final[Mapping[str, _Status]] = {
    "queued": "queued",
    "in_progress": "in_progress",
    "requires_continuation": "in_progress",
    "completed": "completed",
}
_NO_VIDEO: Final = "no_video"
_AT_ADDRESS: Final = "it returned the address of the video, which is not fetched, and not the video"
_LONGEST_NAME: Final = 80


def write_video(request: VideoRequest, target: Target) -> WireRequest:
    """Write a request for a new job."""
    content: list[dict[str, Any]] = [{"type": "text", "text": request.prompt}]
    if (image := request.image) is not None:
        data = b64encode(image.data).decode()
        content.insert(0, {"type": "image", "mime_type": registered_type(image.media_type), "data": data})
    body: dict[str, Any] = {
        "model": target.model.removeprefix("models/"),
        "input": [{"type": "user_input", "content": content}],
        "background": True,
        "response_format": {"type": "video", **_shape(request)},
    }
    for extra in (target.extra_body, request.extra_body):
        for name, value in extra.items():
            ours = body.get(name)
            body[name] = {**ours, **value} if isinstance(ours, Mapping) and isinstance(value, Mapping) else value
    return post("/interactions", body, target)


def _shape(request: VideoRequest) -> dict[str, str]:
    """Return the fields for the length and the size: ratio (``9:16``), resolution (``1080p``), both, or pixels."""
    shape = {} if request.seconds is None else {"duration": f"{request.seconds}s"}
    if pixels := pixels_of(request.size):
        resolution = next((name for most, name in _RESOLUTIONS if min(pixels) <= most), _LARGEST)
        return {**shape, "aspect_ratio": nearest_ratio(pixels, _RATIOS), "resolution": resolution}
    for word in (request.size or "").replace(",", " ").replace("_", " ").split():
        if word != "auto":
            shape["aspect_ratio" if ":" in word else "resolution"] = word.lower()
    return shape


def write_video_job(request: VideoJobRequest, target: Target) -> WireRequest:
    """Write a request for the state of a job."""
    return get(f"/interactions/{segment(request.job)}", target)


def read_video_job(_: VideoRequest | VideoJobRequest, body: object, _target: Target) -> Done | Failure:
    """Read the state of a job, which may be new."""
    interaction = read_body(body)
    if isinstance(interaction, Failure):
        return interaction
    identifier, word = text_or_none(interaction.get("id")), text_or_none(interaction.get("status"))
    if identifier is None or word is None:
        return Failure("malformed")
    status: _Status = _STATUSES.get(word, "failed")
    problem = None if status in {"queued", "in_progress"} else _problem_of(interaction)
    if problem is None and status == "completed" and not any(_videos_of(interaction)):
        problem = {"status": _NO_VIDEO}
    error = _name_of(problem or {}) or word if problem or status == "failed" else None
    return Done(
        VideoJob(
            identifier,
            "failed" if error else status,
            error=error,
            detail=text_or_none((problem or {}).get("message")),
            blocked=problem is not None and _is_blocked(problem),
            model=text_or_none(interaction.get("model")) or "",
            raw=interaction,
        )
    )


def _problem_of(interaction: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the error of an interaction, or of the step that should have the video."""
    errors = interaction.get("errors")
    steps = (step.get("error") for step in _steps_of(interaction))
    return next((error for error in (*(errors if is_list(errors) else ()), *steps) if is_object(error) and error), None)


def _name_of(error: Mapping[str, Any]) -> str | None:
    """Return the name of an error: its status, or the last part of its code, which may be an address."""
    code = error.get("status") or error.get("code")
    return code.rstrip("/").rpartition("/")[2][:_LONGEST_NAME] or None if isinstance(code, str) else None


def _is_blocked(error: Mapping[str, Any]) -> bool:
    if finish_reason_of(_name_of(error), has_calls=False) == "content_filter":
        return True
    return read_error({"error": {"code": 400, "message": error.get("message")}}).kind == "filter"


def _steps_of(interaction: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    steps = interaction.get("steps")
    return (
        step for step in (steps if is_list(steps) else ()) if is_object(step) and step.get("type") == "model_output"
    )


def _videos_of(interaction: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for step in _steps_of(interaction):
        content = step.get("content")
        for block in content if is_list(content) else ():
            if is_object(block) and block.get("type") == "video":
                yield block


def write_video_content(request: VideoContentRequest, target: Target) -> WireRequest:
    """Write a request for the interaction with its video.

    Raises:
        UnsupportedOperationError: Something else than the video is wanted.
    """
    if request.variant not in {None, "video"}:
        raise UnsupportedOperationError(
            f"it has no {request.variant} of a video: leave out variant.", provider=target.provider
        )
    return get(f"/interactions/{segment(request.job)}", target)


def read_video_content(request: VideoContentRequest, body: object, _: Target) -> Done | Failure:
    """Read the last video of an interaction."""
    interaction = read_body(body)
    if isinstance(interaction, Failure):
        return interaction
    blocks = [*_videos_of(interaction)]
    data = decode_bytes(blocks[-1].get("data")) if blocks else None
    if data is None:
        return Failure("empty", reason=_AT_ADDRESS if blocks and blocks[-1].get("uri") else None)
    media_type = text_or_none(blocks[-1].get("mime_type")) or "video/mp4"
    model = text_or_none(object_or_empty(interaction).get("model")) or ""
    return Done(VideoResponse(data, media_type.partition("/")[2], job=request.job, model=model))
