"""Ollama's own format: one JSON value on each line, options in a field of their own, no choice of a tool.

``encode`` and ``messages`` write requests, ``decode`` reads whole answers, ``stream`` reads streamed ones, ``errors``
names failures. Written from the types and handlers of its server (github.com/ollama/ollama: api/types.go,
server/routes.go). Nothing here decides what a model can do: the server says so in ``/api/show``, the table by name.
"""

from __future__ import annotations

from typing import Final

from unified_llm.asks import ModelRequest
from unified_llm.providers.format import Format
from unified_llm.providers.ollama.decode import read_chat, read_embeddings, read_info, read_models
from unified_llm.providers.ollama.encode import write_chat, write_embeddings, write_info, write_models
from unified_llm.providers.ollama.errors import read_failure
from unified_llm.providers.ollama.stream import ChatStream
from unified_llm.providers.writing import at_root
from unified_llm.types import EmbeddingRequest, LLMRequest, ModelsRequest

__all__ = ["CODEC"]

CODEC: Final = Format(
    {
        LLMRequest: (write_chat, read_chat),
        EmbeddingRequest: (write_embeddings, read_embeddings),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_info, read_info),
    },
    stream=lambda _, target: ChatStream(target),  # a line says itself whether it is of a chat or of a text
    refusal=read_failure,
    framing="lines",
    at=lambda target: at_root(target, "/v1", "/api"),  # either of its two APIs may be named, or none
)
