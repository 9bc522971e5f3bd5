"""Ollama's format: one JSON value on each line, an ``options`` field for settings, no ``tool_choice``.

``request`` and ``messages`` write requests, ``response`` reads whole answers, ``stream`` reads streamed ones,
``errors`` classifies errors. Written from the types and handlers of its server (github.com/ollama/ollama:
api/types.go, server/routes.go). Nothing here decides what a model can do: ``/api/show`` and the table of models do.
"""

from __future__ import annotations

from typing import Final

from unified_llm._formats.make_codec import FunctionCodec, FurtherRequests
from unified_llm._formats.ollama.errors import read_failure
from unified_llm._formats.ollama.request import write_chat, write_embeddings, write_model, write_models
from unified_llm._formats.ollama.response import read_chat, read_embeddings, read_model, read_models
from unified_llm._formats.ollama.stream import ChatStream
from unified_llm._formats.request_fields import without_version_path
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

__all__ = ["CODEC"]


def load_further() -> FurtherRequests:
    """Import what further requests need: no chat needs it."""
    from unified_llm._formats.ollama import further

    return further.FURTHER


CODEC: Final = FunctionCodec(
    {
        LLMRequest: (write_chat, read_chat),
        EmbeddingRequest: (write_embeddings, read_embeddings),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_model, read_model),
    },
    stream=lambda _, target: ChatStream(target),  # each line shows whether it belongs to a chat or a continued text
    failure=read_failure,
    framing="lines",
    further=load_further,
    adjust=lambda target: without_version_path(target, "/v1", "/api"),  # users may give the path of either API, or none
)
