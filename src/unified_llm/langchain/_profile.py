"""The capabilities of a chain of targets, as LangChain's model profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from unified_llm._adapters.chain_features import chain_features
from unified_llm._core.features import Feature
from unified_llm._core.target import Target

if TYPE_CHECKING:
    from langchain_core.language_models.model_profile import ModelProfile

_PROFILE_FEATURES: Final[Mapping[str, Feature]] = {
    "tool_calling": "tools",
    "tool_choice": "tool_choice",
    "structured_output": "json_schema",
    "image_inputs": "images",
    "image_url_inputs": "image_urls",
    "audio_inputs": "audio",
    "pdf_inputs": "files",
}


def read_chain_profile(targets: Sequence[Target]) -> ModelProfile:
    """Return the capabilities that every target has or that are emulated, and the smallest context window.

    Where that of a target is not known, none is returned: a summary that waits for a larger window comes too late.
    """
    chain = chain_features(targets)
    profile: dict[str, Any] = {"text_inputs": True, "text_outputs": True}
    profile |= {name: feature in chain.features for name, feature in _PROFILE_FEATURES.items()}
    if chain.context_window is not None and not chain.unknown:
        profile["max_input_tokens"] = chain.context_window
    return cast("ModelProfile", profile)
