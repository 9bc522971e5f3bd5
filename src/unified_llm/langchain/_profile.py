"""What a chain of models can do, in the words of LangChain's model profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from unified_llm._core.features import Feature
from unified_llm._core.target import Target

if TYPE_CHECKING:
    from langchain_core.language_models.model_profile import ModelProfile

_FEATURES: Final[Mapping[str, Feature]] = {
    "tool_calling": "tools",
    "tool_choice": "tool_choice",
    "structured_output": "json_schema",
    "image_inputs": "images",
    "image_url_inputs": "image_urls",
    "audio_inputs": "audio",
    "pdf_inputs": "files",
}


def chain_profile(targets: Sequence[Target]) -> ModelProfile:
    """What every target can do, and the smallest window that is known.

    Last resorts do not count: they are passed over for what they cannot do, and lower nobody's sights.
    """
    counted = [target for target in targets if not target.last_resort] or list(targets)
    profile: dict[str, Any] = {"text_inputs": True, "text_outputs": True}
    for name, feature in _FEATURES.items():
        profile[name] = all(feature in target.features for target in counted)
    windows = [target.context_window for target in counted if target.context_window]
    if windows:
        profile["max_input_tokens"] = min(windows)
    return cast("ModelProfile", profile)
