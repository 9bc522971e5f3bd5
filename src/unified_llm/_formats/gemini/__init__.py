"""Google's own format for Gemini: ``generateContent`` and what stands beside it.

Requests are written by ``request``, with ``messages`` for the conversation and ``thinking`` for what depends on a
model's generation. Whole answers are read by ``response``, streamed ones by ``stream``; ``provider_state`` keeps
what Gemini wants back, ``errors`` names failures. Vertex AI speaks a dialect of this that is not meant here.
"""

from __future__ import annotations

from typing import Final

from unified_llm._formats.gemini.errors import read_failure
from unified_llm._formats.gemini.request import write_chat, write_count, write_embeddings, write_model, write_models
from unified_llm._formats.gemini.response import read_chat, read_count, read_embeddings, read_model, read_models
from unified_llm._formats.gemini.stream import ChatStream
from unified_llm._formats.make_codec import FunctionCodec
from unified_llm.types.requests import CountRequest, EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

__all__ = ["CODEC"]

CODEC: Final = FunctionCodec(
    {
        LLMRequest: (write_chat, read_chat),
        EmbeddingRequest: (write_embeddings, read_embeddings),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_model, read_model),
        CountRequest: (write_count, read_count),
    },
    stream=lambda _, target: ChatStream(target),  # an event says what it holds, whatever was asked
    failure=read_failure,
)
