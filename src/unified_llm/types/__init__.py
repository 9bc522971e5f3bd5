"""Frozen dataclasses of requests and responses, messages and their parts.

The annotations in the modules of this folder are evaluated when a class is made, without the future import, so that
``typing.get_type_hints`` and Pydantic can read them although ``__module__`` names another module than the defining one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unified_llm.types.content import (
    AudioPart,
    CachePoint,
    FilePart,
    ImagePart,
    Media,
    Part,
    TextPart,
)
from unified_llm.types.messages import (
    Message,
    OutputMethod,
    ProviderState,
    ResponseFormat,
    Role,
    Tool,
    ToolCall,
    ToolCallChunk,
)
from unified_llm.types.records import (
    Attempt,
    Usage,
)
from unified_llm.types.requests import (
    CountRequest,
    EmbeddingRequest,
    LLMRequest,
    ModelRequest,
    ModelsRequest,
    RerankRequest,
)
from unified_llm.types.responses import (
    Citation,
    EmbeddingResponse,
    FinishReason,
    LLMChunk,
    LLMResponse,
    ModelInfo,
    RankedDocument,
    RerankResponse,
    TokenLogprob,
)

if TYPE_CHECKING:
    from unified_llm.types.media import (
        Image,
        ImageChunk,
        ImageResponse,
        SpeechResponse,
        Transcription,
        TranscriptionChunk,
        TranscriptionSegment,
        TranscriptionWord,
        VideoJob,
        VideoResponse,
    )
    from unified_llm.types.media_requests import (
        ImageRequest,
        MediaFile,
        SpeechRequest,
        TranscriptionRequest,
        VideoContentRequest,
        VideoJobRequest,
        VideoRequest,
    )
    from unified_llm.types.raw import RawChunk, RawRequest, RawResponse

__all__ = [
    "Attempt",
    "AudioPart",
    "CachePoint",
    "Citation",
    "CountRequest",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "FilePart",
    "FinishReason",
    "Image",
    "ImageChunk",
    "ImagePart",
    "ImageRequest",
    "ImageResponse",
    "LLMChunk",
    "LLMRequest",
    "LLMResponse",
    "Media",
    "MediaFile",
    "Message",
    "ModelInfo",
    "ModelRequest",
    "ModelsRequest",
    "OutputMethod",
    "Part",
    "ProviderState",
    "RankedDocument",
    "RawChunk",
    "RawRequest",
    "RawResponse",
    "RerankRequest",
    "RerankResponse",
    "ResponseFormat",
    "Role",
    "SpeechRequest",
    "SpeechResponse",
    "TextPart",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallChunk",
    "Transcription",
    "TranscriptionChunk",
    "TranscriptionRequest",
    "TranscriptionSegment",
    "TranscriptionWord",
    "Usage",
    "VideoContentRequest",
    "VideoJob",
    "VideoJobRequest",
    "VideoRequest",
    "VideoResponse",
]

# The names that ``unified_llm`` exports as well.
_ROOT_NAMES = {
    "Attempt",
    "EmbeddingResponse",
    "LLMChunk",
    "LLMRequest",
    "LLMResponse",
    "Message",
    "ModelInfo",
    "ToolCall",
    "Usage",
}


def _set_public_modules() -> None:
    """Set ``__module__`` of every public class to the module that users import it from; pickles name that one too."""
    for name in __all__:
        if isinstance(value := globals().get(name), type):  # not an alias, such as Role
            value.__module__ = "unified_llm" if name in _ROOT_NAMES else __name__


_set_public_modules()


def __getattr__(name: str) -> Any:
    """Import media with the first of their classes that is used; say where a name is that this module does not have."""
    if name.startswith("__"):  # Python looks for some of these with every import
        raise AttributeError(name)
    if name not in __all__:
        from unified_llm._lib.missing_names import missing_name

        raise missing_name(__name__, name, __all__)
    from unified_llm.types import media, media_requests, raw

    home = next(module for module in (media, media_requests, raw) if hasattr(module, name))
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
