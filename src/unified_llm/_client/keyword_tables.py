"""The keyword arguments that the signatures of the client show, with their defaults.

Imported with the client; what it reads is imported when a signature is looked at.
"""

from __future__ import annotations

from unified_llm._lib.signatures import Keywords, field_defaults
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, RerankRequest


def keywords_of_target() -> Keywords:
    """Return those of the constructor."""
    from unified_llm._config.keywords import TargetKeywords
    from unified_llm._config.llm_config import default_fields

    return TargetKeywords, default_fields()


def keywords_of_chat() -> Keywords:
    """Return those of a chat request."""
    from unified_llm._client.keywords import ChatKeywords

    return ChatKeywords, field_defaults(LLMRequest)


def keywords_of_embedding() -> Keywords:
    """Return those of an embedding request."""
    from unified_llm._client.keywords import EmbedKeywords

    return EmbedKeywords, field_defaults(EmbeddingRequest)


def keywords_of_image() -> Keywords:
    """Return those of a request for images."""
    from unified_llm._client.keywords import ImageKeywords
    from unified_llm.types.media_requests import ImageRequest

    return ImageKeywords, field_defaults(ImageRequest)


def keywords_of_speech() -> Keywords:
    """Return those of a request to read a text aloud."""
    from unified_llm._client.keywords import SpeechKeywords
    from unified_llm.types.media_requests import SpeechRequest

    return SpeechKeywords, field_defaults(SpeechRequest)


def keywords_of_transcription() -> Keywords:
    """Return those of a request to transcribe a recording."""
    from unified_llm._client.keywords import TranscriptionKeywords
    from unified_llm.types.media_requests import TranscriptionRequest

    return TranscriptionKeywords, field_defaults(TranscriptionRequest)


def keywords_of_video() -> Keywords:
    """Return those of a request for a video."""
    from unified_llm._client.keywords import VideoKeywords
    from unified_llm.types.media_requests import VideoRequest

    return VideoKeywords, field_defaults(VideoRequest)


def keywords_of_ranking() -> Keywords:
    """Return those of a rerank request."""
    from unified_llm._client.keywords import RerankKeywords

    return RerankKeywords, field_defaults(RerankRequest)
