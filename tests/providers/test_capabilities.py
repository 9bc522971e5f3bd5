"""The features that each kind of request needs."""

from __future__ import annotations

from typing import Any, get_args

from tests.support.each import each
from unified_llm._core.batch_service import BatchCancelRequest
from unified_llm._core.features import ENDPOINTS, Feature, features
from unified_llm._core.target import Target
from unified_llm._providers.capabilities import missing
from unified_llm.types import (
    AudioPart,
    CountRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    ImageRequest,
    LLMRequest,
    MediaFile,
    Message,
    ModelRequest,
    ModelsRequest,
    Part,
    RawRequest,
    RerankRequest,
    ResponseFormat,
    SpeechRequest,
    TextPart,
    Tool,
    TranscriptionRequest,
    VideoRequest,
)

ALL_FEATURES: frozenset[Feature] = frozenset(get_args(Feature))
TOOL = Tool("look", "Look something up.", {"type": "object", "properties": {}})


def chat(*parts: Part, **fields: Any) -> LLMRequest:
    return LLMRequest((Message.user("Hello?"), Message("user", (TextPart("And?"), *parts))), **fields)


FILE = MediaFile(b"data")
NEEDS: dict[Feature, Any] = {
    "streaming": chat(stream=True),
    "tools": chat(tools=(TOOL,)),
    "tool_choice": chat(tools=(TOOL,), tool_choice="look"),
    "json_object": chat(response_format=ResponseFormat()),
    "json_schema": chat(response_format=ResponseFormat(schema={"type": "object"})),
    "images": chat(ImagePart(data=b"png", media_type="image/png")),
    "image_urls": chat(ImagePart(url="https://example.com/a.png")),
    "audio": chat(AudioPart(b"wav")),
    "files": chat(FilePart(b"pdf")),
    "file_urls": chat(FilePart(url="https://example.com/a.pdf")),
    "embeddings": EmbeddingRequest(("Hello",)),
    "models": ModelsRequest(),
    "model_info": ModelRequest(),
    "count_tokens": CountRequest(chat()),
    "rerank": RerankRequest("Which?", ("This.", "That.")),
    "as_text": chat(as_text=True),
    "n": chat(n=2),
    "generate_image": ImageRequest("a red fox"),
    "edit_image": ImageRequest("a red fox", images=(FILE,)),
    "stream_image": ImageRequest("a red fox", stream=True),
    "speech": SpeechRequest("Hello"),
    "transcription": TranscriptionRequest(FILE),
    "translation": TranscriptionRequest(FILE, translate=True),
    "stream_transcription": TranscriptionRequest(FILE, stream=True),
    "video": VideoRequest("a red fox"),
    "batch_service": BatchCancelRequest("batch-1"),
    **{name: RawRequest("GET", "/", name) for name in sorted(ENDPOINTS)},
}


def test_every_feature_has_a_request_that_needs_it() -> None:
    assert set(NEEDS) == ALL_FEATURES


@each("feature", NEEDS)
def test_a_request_that_needs_a_feature_detects_that_a_target_lacks_it(feature: Feature) -> None:
    request = NEEDS[feature]
    assert missing(request, Target("a", "b", "c", features=ALL_FEATURES)) is None
    # JSON by prompt needs no feature, but a last resort is not asked for it.
    reason = missing(request, Target("a", "b", "c", features=ALL_FEATURES - {feature}, last_resort=True))
    assert reason
    assert reason.startswith("it cannot ")
    needed_too = features("tools", "generate_image", "transcription")
    assert missing(request, Target("a", "b", "c", features=needed_too | {feature})) is None


@each("choice", [None, "auto", "none"])
def test_leaving_the_choice_to_the_model_needs_no_more_than_tools(choice: str | None) -> None:
    target = Target("a", "b", "c", features=frozenset({"tools"}))
    assert missing(chat(tools=(TOOL,), tool_choice=choice), target) is None
