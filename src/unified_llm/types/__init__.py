"""What calls take and give: requests, answers, messages and their parts. All of it is frozen."""

from __future__ import annotations

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
    "ImagePart",
    "LLMChunk",
    "LLMRequest",
    "LLMResponse",
    "Media",
    "Message",
    "ModelInfo",
    "ModelRequest",
    "ModelsRequest",
    "Part",
    "ProviderState",
    "RankedDocument",
    "RerankRequest",
    "RerankResponse",
    "ResponseFormat",
    "Role",
    "TextPart",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallChunk",
    "Usage",
]
