"""What the model in a folder can do, by its files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from unified_llm._backends.mlx.model_files import read_object
from unified_llm._backends.mlx.model_folder import is_encoder
from unified_llm._backends.mlx.template_files import takes_tools
from unified_llm._backends.mlx.vision_folder import runs_by_mlx_vlm
from unified_llm._core.features import CHAT, Feature, features

_EMBEDDINGS: Final = features("embeddings", "models")


def read_features(folder: Path) -> frozenset[Feature]:
    """Return the features of the model in a folder: those of embeddings, or of chat with what its template takes.

    Raises:
        EngineError: Its configuration cannot be read.
    """
    config = read_object(folder / "config.json")
    if is_encoder(config):
        return _EMBEDDINGS
    images = features("images") if runs_by_mlx_vlm(config) else frozenset[Feature]()
    tools = features("tools") if takes_tools(folder) else frozenset[Feature]()
    return CHAT | images | tools
