"""Ollama's own format: one JSON value on each line, options in a field of their own, no choice of a tool.

``request`` and ``messages`` write requests, ``response`` reads whole answers, ``stream`` reads streamed ones,
``errors`` names failures. Written from the types and handlers of its server (github.com/ollama/ollama: api/types.go,
server/routes.go). Nothing here decides what a model can do: the server says so in ``/api/show``, the table by name.
"""

from __future__ import annotations

from typing import Final

from unified_llm._formats.make_codec import FunctionCodec
from unified_llm._formats.ollama.errors import read_failure
from unified_llm._formats.ollama.request import write_chat, write_embeddings, write_info, write_models
from unified_llm._formats.ollama.response import read_chat, read_embeddings, read_info, read_models
from unified_llm._formats.ollama.stream import ChatStream
from unified_llm._formats.request_fields import without_version_path
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

__all__ = ["CODEC"]

CODEC: Final = FunctionCodec(
    {
        LLMRequest: (write_chat, read_chat),
        EmbeddingRequest: (write_embeddings, read_embeddings),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_info, read_info),
    },
    stream=lambda _, target: ChatStream(target),  # a line says itself whether it is of a chat or of a text
    failure=read_failure,
    framing="lines",
    adjust=lambda target: without_version_path(target, "/v1", "/api"),  # either of its two APIs may be named, or none
)
