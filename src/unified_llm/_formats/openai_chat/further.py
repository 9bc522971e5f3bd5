"""Requests of OpenAI's API besides chats, embeddings and models: media, and endpoints whose bodies pass unchanged.

Imported with the first of them.
"""

from __future__ import annotations

from typing import Final

from unified_llm._core.model_loading import FindLoaded, LoadModel, UnloadModel
from unified_llm._formats.make_codec import FurtherRequests
from unified_llm._formats.openai_chat.audio import (
    SpeechEvents,
    TranscriptionEvents,
    read_speech,
    read_transcription,
    write_speech,
    write_transcription,
)
from unified_llm._formats.openai_chat.batches import BATCHES
from unified_llm._formats.openai_chat.images import ImageEvents, read_image, write_image
from unified_llm._formats.openai_chat.loaded_models import (
    read_found,
    read_loaded,
    read_unloaded,
    write_find,
    write_load,
    write_unload,
)
from unified_llm._formats.openai_chat.videos import (
    read_video_content,
    read_video_job,
    write_video,
    write_video_content,
    write_video_job,
)
from unified_llm._formats.raw import RawStream, read_raw, write_raw
from unified_llm.types.media_requests import (
    ImageRequest,
    SpeechRequest,
    TranscriptionRequest,
    VideoContentRequest,
    VideoJobRequest,
    VideoRequest,
)
from unified_llm.types.raw import RawRequest

FURTHER: Final = FurtherRequests(
    {
        ImageRequest: (write_image, read_image),
        SpeechRequest: (write_speech, read_speech),
        TranscriptionRequest: (write_transcription, read_transcription),
        VideoRequest: (write_video, read_video_job),
        VideoJobRequest: (write_video_job, read_video_job),
        VideoContentRequest: (write_video_content, read_video_content),
        RawRequest: (write_raw, read_raw),
        **BATCHES,
        FindLoaded: (write_find, read_found),
        LoadModel: (write_load, read_loaded),
        UnloadModel: (write_unload, read_unloaded),
    },
    {
        ImageRequest: ImageEvents,
        SpeechRequest: SpeechEvents,
        TranscriptionRequest: TranscriptionEvents,
        RawRequest: RawStream,
    },
)
