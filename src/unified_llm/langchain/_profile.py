"""The capabilities of a chain of targets, as LangChain's model profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

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
    """Return the capabilities that every target has, and the smallest known context window.

    Last resorts do not count, unless there are no other targets: they are skipped for requests that they cannot serve.
    """
    counted = [target for target in targets if not target.last_resort] or list(targets)
    profile: dict[str, Any] = {"text_inputs": True, "text_outputs": True}
    for name, feature in _PROFILE_FEATURES.items():
        profile[name] = all(feature in target.features for target in counted)
    windows = [target.context_window for target in counted if target.context_window]
    if windows:
        profile["max_input_tokens"] = min(windows)
    return cast("ModelProfile", profile)
