"""Jobs of videos."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class VideoCreateError(OpenAIObject):
    """Video create error."""

    code: str
    message: str
    headers: dict[str, str] | None
    misalignment: OpenAIObject | None
    param: str | None
    type: str | None


class Video(OpenAIObject):
    """The job of a video."""

    id: str
    completed_at: int | None
    created_at: int
    error: VideoCreateError | None
    expires_at: int | None
    model: str
    object: Literal["video"]
    progress: int
    prompt: str | None
    remixed_from_video_id: str | None
    seconds: str
    size: Literal["720x1280", "1280x720", "1024x1792", "1792x1024"]
    status: Literal["queued", "in_progress", "completed", "failed"]


class VideoDeleteResponse(OpenAIObject):
    """The deletion of a video."""

    id: str
    deleted: bool
    object: Literal["video.deleted"]
