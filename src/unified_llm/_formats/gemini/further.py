"""Requests of Gemini's API besides chats, embeddings and models: media. Imported with the first of them."""

from __future__ import annotations

from typing import Final

from unified_llm._formats.gemini.batches import BATCHES
from unified_llm._formats.gemini.images import read_image, write_image
from unified_llm._formats.gemini.speech import SpeechStream, read_speech, write_speech
from unified_llm._formats.gemini.video import (
    read_video_content,
    read_video_job,
    write_video,
    write_video_content,
    write_video_job,
)
from unified_llm._formats.make_codec import FurtherRequests
from unified_llm.types.media_requests import (
    ImageRequest,
    SpeechRequest,
    VideoContentRequest,
    VideoJobRequest,
    VideoRequest,
)

FURTHER: Final = FurtherRequests(
    {
        ImageRequest: (write_image, read_image),
        SpeechRequest: (write_speech, read_speech),
        VideoRequest: (write_video, read_video_job),
        VideoJobRequest: (write_video_job, read_video_job),
        VideoContentRequest: (write_video_content, read_video_content),
        **BATCHES,
    },
    {SpeechRequest: SpeechStream},
)
