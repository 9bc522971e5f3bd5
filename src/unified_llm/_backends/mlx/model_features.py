"""The features of the model in a folder, by its files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from unified_llm._backends.mlx import demo_folder
from unified_llm._backends.mlx.model_files import read_object
from unified_llm._backends.mlx.model_folder import is_encoder
from unified_llm._backends.mlx.template_files import takes_tools
from unified_llm._backends.mlx.vision_folder import runs_by_mlx_vlm
from unified_llm._core.features import CHAT, JSON, TOOLS, Feature, features

_EMBEDDINGS: Final = features("embeddings", "models")


def read_features(folder: Path) -> frozenset[Feature]:
    """Return the features of the model in a folder: those of embeddings, or of chat with what its template takes.

    Any model is kept to JSON, and to a call of a tool, by its constraint (``constraints``). The demo model has neither:
    what it wrote would conform, and mean nothing.

    Raises:
        EngineError: Its configuration cannot be read.
    """
    config = read_object(folder / "config.json")
    if is_encoder(config):
        return _EMBEDDINGS
    if folder == demo_folder():
        return CHAT
    can_constrain = find_spec("llguidance") is not None
    known = set(CHAT)
    # mlx-vlm, which runs models with images, takes conversations alone.
    known |= features("images") if runs_by_mlx_vlm(config) else features("as_text")
    if can_constrain:
        known |= JSON
    if takes_tools(folder):
        known |= TOOLS if can_constrain else features("tools")
    return frozenset(known)
