"""Google's own format for Gemini: ``generateContent`` and what stands beside it.

Requests are written by ``encode``, with ``contents`` for the conversation, ``media`` for what is no text, ``schema``
for JSON schemas and ``thinking`` for what depends on a model's generation. Whole answers are read by ``decode``,
streamed ones by ``stream``, both through ``candidate``; ``grounding`` reads citations, ``sealing`` keeps what Gemini
wants back, ``errors`` names failures. Vertex AI speaks a dialect of this that is not meant here.
"""

from __future__ import annotations

from typing import Final

from unified_llm.asks import CountRequest, ModelRequest
from unified_llm.providers.format import Format
from unified_llm.providers.gemini.decode import read_chat, read_count, read_embeddings, read_model, read_models
from unified_llm.providers.gemini.encode import write_chat, write_count, write_embeddings, write_model, write_models
from unified_llm.providers.gemini.errors import read_failure
from unified_llm.providers.gemini.stream import ChatStream
from unified_llm.types import EmbeddingRequest, LLMRequest, ModelsRequest

__all__ = ["CODEC"]

CODEC: Final = Format(
    {
        LLMRequest: (write_chat, read_chat),
        EmbeddingRequest: (write_embeddings, read_embeddings),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_model, read_model),
        CountRequest: (write_count, read_count),
    },
    stream=lambda _, target: ChatStream(target),  # an event says what it holds, whatever was asked
    refusal=read_failure,
)
