"""OpenAI's chat-completions format, which most providers and local servers use.

``request`` and ``messages`` write requests, ``response`` reads whole responses, ``stream`` reads streamed ones,
``models`` reads lists of models; ``images``, ``audio`` and ``videos`` are for media; ``openai_errors`` classifies
errors. Where a provider differs, its row of the provider table has a quirk; nothing here depends on the name of the
provider.
"""

from __future__ import annotations

from typing import Final

from unified_llm._formats.make_codec import FunctionCodec, FurtherRequests
from unified_llm._formats.openai_chat.models import read_model, read_models
from unified_llm._formats.openai_chat.request import write_chat, write_embeddings, write_model, write_models
from unified_llm._formats.openai_chat.response import read_chat, read_embeddings
from unified_llm._formats.openai_chat.stream import ChatStream
from unified_llm._formats.openai_errors import read_failure
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

__all__ = ["CODEC"]


def load_further() -> FurtherRequests:
    """Import what further requests need: no chat needs it."""
    from unified_llm._formats.openai_chat import further

    return further.FURTHER


CODEC: Final = FunctionCodec(
    {
        LLMRequest: (write_chat, read_chat),
        EmbeddingRequest: (write_embeddings, read_embeddings),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_model, read_model),
    },
    stream=ChatStream,
    failure=read_failure,
    further=load_further,
)
