"""Cohere's own format, version 2: typed events, plans before calls, citations, a ranking of documents.

``request`` and ``messages`` write requests, ``response`` reads whole answers, vectors, rankings and models,
``stream`` reads streamed answers, ``errors`` names failures. Written from the official SDK's types and the API's
description (github.com/cohere-ai/cohere-developer-experience: cohere-openapi.yaml). Its tokenizer counts the tokens of
a text and not those of a conversation, so nothing is counted here.
"""

from __future__ import annotations

from typing import Final

from unified_llm._formats.cohere.errors import read_failure
from unified_llm._formats.cohere.request import write_chat, write_embeddings, write_info, write_models, write_ranking
from unified_llm._formats.cohere.response import read_chat, read_embeddings, read_info, read_models, read_ranking
from unified_llm._formats.cohere.stream import ChatStream
from unified_llm._formats.make_codec import FunctionCodec
from unified_llm._formats.request_fields import without_version_path
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest, RerankRequest

__all__ = ["CODEC"]

CODEC: Final = FunctionCodec(
    {
        LLMRequest: (write_chat, read_chat),
        EmbeddingRequest: (write_embeddings, read_embeddings),
        RerankRequest: (write_ranking, read_ranking),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_info, read_info),
    },
    stream=lambda _, target: ChatStream(target),
    failure=read_failure,
    # The base URL may be that of any of Cohere's APIs, or of none.
    adjust=lambda target: without_version_path(target, "/compatibility/v1", "/v1", "/v2"),
)
