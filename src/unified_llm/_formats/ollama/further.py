"""Requests besides chats, embeddings and models. Imported with the first of them."""

from __future__ import annotations

from typing import Final

from unified_llm._core.model_loading import FindLoaded, LoadModel, UnloadModel
from unified_llm._formats.make_codec import FurtherRequests
from unified_llm._formats.ollama.loaded_models import (
    read_found,
    read_loaded,
    read_unloaded,
    write_find,
    write_load,
    write_unload,
)

FURTHER: Final = FurtherRequests(
    {
        FindLoaded: (write_find, read_found),
        LoadModel: (write_load, read_loaded),
        UnloadModel: (write_unload, read_unloaded),
    }
)
