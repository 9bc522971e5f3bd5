"""Features of a target, and the sets of them that rows of the provider table are built from."""

from __future__ import annotations

from typing import Final, Literal

Feature = Literal[
    "tools", "tool_choice", "json_object", "json_schema", "images", "image_urls", "audio", "files", "file_urls",
    "streaming", "embeddings", "models", "model_info", "count_tokens", "rerank", "as_text", "n",
    "generate_image", "edit_image", "stream_image", "speech", "transcription", "translation", "stream_transcription",
    "video", "moderation", "file_storage", "batches", "stored_responses", "stored_completions",
    "batch_service",
]  # fmt: skip

# What a model makes.
Output = Literal[
    "text", "image", "audio", "video", "speech", "transcription", "embeddings", "rerank", "moderation",
]  # fmt: skip

# Two things that one request may ask for together, and that some targets cannot do together.
FeaturePair = Literal[
    "tools with JSON", "streaming with JSON", "thinking with a forced tool", "built-in tools with functions",
    "prefill with thinking", "tools with streaming",
]  # fmt: skip


def features(*names: Feature) -> frozenset[Feature]:
    """Make a set of features, checked by the type checker."""
    return frozenset(names)


CHAT: Final[frozenset[Feature]] = features("streaming", "models")
TOOLS: Final[frozenset[Feature]] = features("tools", "tool_choice")
JSON: Final[frozenset[Feature]] = features("json_object", "json_schema")
VISION: Final[frozenset[Feature]] = features("images", "image_urls")
FILES: Final[frozenset[Feature]] = features("files", "file_urls")
EMBEDDINGS: Final[frozenset[Feature]] = features("embeddings")
# For gateways and servers that may run anything: what the format can carry. The model behind may take less.
EVERYTHING: Final[frozenset[Feature]] = CHAT | TOOLS | JSON | VISION | EMBEDDINGS | FILES | features("audio")
# Media by OpenAI's API.
MEDIA: Final[frozenset[Feature]] = features(
    "generate_image",
    "edit_image",
    "stream_image",
    "speech",
    "transcription",
    "translation",
    "stream_transcription",
    "video",
)
# Further endpoints of OpenAI's API, whose bodies pass unchanged (``_formats.raw``).
ENDPOINTS: Final[frozenset[Feature]] = features(
    "moderation", "file_storage", "batches", "stored_responses", "stored_completions"
)
