"""Google's format for Gemini: ``generateContent`` and its related methods.

``request`` and ``messages`` write requests, ``thinking`` has the settings that depend on a model's generation,
``response`` reads whole answers, ``stream`` reads streamed ones, ``provider_state`` keeps thought signatures to send
back, ``errors`` classifies errors; ``images``, ``speech`` and ``video`` are for media. The dialect of Vertex AI is not
supported here.
"""

from __future__ import annotations

from typing import Final

from unified_llm._formats.gemini.errors import read_failure
from unified_llm._formats.gemini.request import write_chat, write_count, write_embeddings, write_model, write_models
from unified_llm._formats.gemini.response import read_chat, read_count, read_embeddings, read_model, read_models
from unified_llm._formats.gemini.stream import ChatStream
from unified_llm._formats.make_codec import FunctionCodec, FurtherRequests
from unified_llm.types.requests import CountRequest, EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

__all__ = ["CODEC"]


def _load_further() -> FurtherRequests:
    """Import what media need: no chat needs it."""
    from unified_llm._formats.gemini import further

    return further.FURTHER


CODEC: Final = FunctionCodec(
    {
        LLMRequest: (write_chat, read_chat),
        EmbeddingRequest: (write_embeddings, read_embeddings),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_model, read_model),
        CountRequest: (write_count, read_count),
    },
    stream=lambda _, target: ChatStream(target),  # the request does not matter: events have one shape
    failure=read_failure,
    further=_load_further,
)
