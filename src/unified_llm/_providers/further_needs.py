"""What requests for media and for further endpoints need of a target. Imported with the first of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast

from unified_llm._core.batch_service import ServiceRequest
from unified_llm._core.features import Feature, Output
from unified_llm._core.target import Target
from unified_llm.types.media_requests import ImageRequest, SpeechRequest, TranscriptionRequest, VideoRequest
from unified_llm.types.raw import RawRequest
from unified_llm.types.requests import FurtherRequest

# What a request wants made, and the feature that its words are those of.
_WANTED: Final[Mapping[type, tuple[Output, Feature]]] = {
    ImageRequest: ("image", "generate_image"),
    SpeechRequest: ("speech", "speech"),
    TranscriptionRequest: ("transcription", "transcription"),
    VideoRequest: ("video", "video"),
}

_SUBTITLES: Final = frozenset({"srt", "vtt"})


def wanted_output(ask: FurtherRequest) -> tuple[Output, Feature] | None:
    """Return what a request wants made, and the feature for that; None where any model will do."""
    if isinstance(ask, RawRequest):
        return ("moderation", "moderation") if ask.feature == "moderation" else None
    return _WANTED.get(type(ask))


def lack_of(ask: FurtherRequest, target: Target) -> str | None:
    """Say what a target that has the features of a request lacks for it nevertheless."""
    if target.has_dated_api and "video" in needs_of(ask):  # learn.microsoft.com/azure/ai-foundry/openai/reference
        return "it cannot make videos by a dated API: leave out api_version"
    # A plain text in place of subtitles is no fallback.
    if isinstance(ask, TranscriptionRequest) and ask.format in _SUBTITLES and "format" in target.quirks.drop:
        return f"it cannot write subtitles: leave out format={ask.format!r}"
    return None


def needs_of(ask: FurtherRequest) -> Iterator[Feature]:
    """List the features that a request needs."""
    match ask:
        case RawRequest():
            yield cast("Feature", ask.feature)
        case ServiceRequest():
            yield "batch_service"
        case ImageRequest():
            yield "edit_image" if ask.images else "generate_image"
            if ask.stream:
                yield "stream_image"
        case SpeechRequest():
            yield "speech"
        case TranscriptionRequest():
            yield "translation" if ask.translate else "transcription"
            if ask.stream:
                yield "stream_transcription"
        case _:  # a step of a video's job
            yield "video"
