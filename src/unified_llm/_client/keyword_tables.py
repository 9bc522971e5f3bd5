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


def keywords_of_ranking() -> Keywords:
    """Return those of a rerank request."""
    from unified_llm._client.keywords import RerankKeywords

    return RerankKeywords, field_defaults(RerankRequest)
