"""Cohere's format, version 2: typed events, tool plans before calls, citations, reranking.

``request`` and ``messages`` write requests, ``response`` reads whole answers, vectors, rankings and models,
``stream`` reads streamed answers, ``transcription`` is for recordings, ``errors`` classifies errors. Written from the
official SDK's types and the API's description (github.com/cohere-ai/cohere-developer-experience: cohere-openapi.yaml).
There is no ``CountRequest``: the API's tokenizer counts the tokens of a text, not those of a conversation.
"""

from __future__ import annotations

from typing import Final

from unified_llm._formats.cohere.errors import read_failure
from unified_llm._formats.cohere.request import write_chat, write_embeddings, write_model, write_models, write_rerank
from unified_llm._formats.cohere.response import read_chat, read_embeddings, read_model, read_models, read_rerank
from unified_llm._formats.cohere.stream import ChatStream
from unified_llm._formats.make_codec import FunctionCodec, FurtherRequests
from unified_llm._formats.request_fields import without_version_path
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest, RerankRequest

__all__ = ["CODEC"]


def _load_further() -> FurtherRequests:
    """Import what recordings need: no chat needs it."""
    from unified_llm._formats.cohere import transcription

    return transcription.FURTHER


CODEC: Final = FunctionCodec(
    {
        LLMRequest: (write_chat, read_chat),
        EmbeddingRequest: (write_embeddings, read_embeddings),
        RerankRequest: (write_rerank, read_rerank),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_model, read_model),
    },
    stream=lambda _, target: ChatStream(target),
    failure=read_failure,
    # Users may give the path of any of its APIs, or none.
    adjust=lambda target: without_version_path(target, "/compatibility/v1", "/v1", "/v2"),
    further=_load_further,
)
