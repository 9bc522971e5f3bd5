"""Settings that an API has inside an object of the body, where users write them beside its other fields.

The formats move them there; the table of body fields lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# ``options`` of Ollama's requests (api/types.go: Options, Runner; the last two lines have those of older servers, by
# ollama-python's Options).
OLLAMA_OPTIONS: Final = frozenset({
    "num_keep", "seed", "num_predict", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n", "temperature",
    "repeat_penalty", "presence_penalty", "frequency_penalty", "stop",
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread",
    "numa", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "embedding_only", "tfs_z", "mirostat",
    "mirostat_tau", "mirostat_eta", "penalize_newline", "num_gqa", "rope_frequency_base", "rope_frequency_scale",
})  # fmt: skip
# ``generationConfig`` of Gemini's requests (ai.google.dev/api/generate-content; GenerationConfig of google-genai 3.6),
# without those that are fields of a request here.
GEMINI_SETTINGS: Final = frozenset({
    "audio_timestamp", "audio_transcription_config", "candidate_count", "enable_affective_dialog",
    "enable_enhanced_civic_answers", "image_config", "max_output_tokens", "media_resolution",
    "model_selection_config", "response_json_schema", "response_logprobs", "response_mime_type",
    "response_modalities", "response_schema", "routing_config", "speech_config", "thinking_config", "top_k",
    "translation_config",
})  # fmt: skip


def camel_case(name: str) -> str:
    """Return a name with underscores in camel case, as Google's JSON has it."""
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


# Each way to write a setting of Gemini's, and its name in a body.
GEMINI_SPELLINGS: Final[Mapping[str, str]] = {
    spelling: camel_case(name) for name in GEMINI_SETTINGS for spelling in (name, camel_case(name))
}


def nest(fields: Mapping[str, Any], settings: Mapping[str, str], inside: str) -> Mapping[str, Any]:
    """Return the fields with those that are settings inside an object; what is in it already wins.

    Args:
        fields: Fields of a body.
        settings: How a setting may be written, and its name in the object.
        inside: The name of the object.
    """
    misplaced = {settings[name]: value for name, value in fields.items() if name in settings}
    if not misplaced:
        return fields
    kept = {name: value for name, value in fields.items() if name not in settings}
    there = kept.get(inside)
    return {**kept, inside: {**misplaced, **(there if isinstance(there, Mapping) else {})}}
