"""Read model lists: context windows, output limits and features, from the field names that each provider uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.json_values import count, is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.openai_chat.response import read_answer
from unified_llm._formats.response_fields import read_page
from unified_llm.types.requests import ModelRequest, ModelsRequest
from unified_llm.types.responses import ModelInfo

# The first is LM Studio's, of a loaded model (lmstudio.ai/docs/developer/rest/endpoints; the field: unverified).
_WINDOW_FIELDS: Final = (
    "loaded_context_length", "context_length", "context_window", "max_model_len", "max_context_length",
    "max_input_tokens",
)  # fmt: skip
_OUTPUT_FIELDS: Final = ("max_completion_tokens", "max_output_length", "max_output_tokens")
# Providers' names of our features: parameters (OpenRouter), capabilities (Mistral, Cerebras), fields of the model
# (Fireworks, Moonshot), input modalities (OpenRouter, xAI).
_FEATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "tools": ("tools",),
    "tool_use": ("tools",),
    "function_calling": ("tools",),
    "supports_tools": ("tools",),
    "tool_choice": ("tool_choice",),
    "response_format": ("json_object",),
    "json_mode": ("json_object",),
    "structured_outputs": ("json_schema",),
    "vision": ("images", "image_urls"),
    "supports_image_input": ("images", "image_urls"),
    "supports_image_in": ("images", "image_urls"),
    "input image": ("images", "image_urls"),
    "input audio": ("audio",),
    "input file": ("files",),
    "streaming": ("streaming",),
    "completion_chat": ("streaming",),
    "supports_chat": ("streaming",),
}
# What a model makes by its type: of LM Studio (lmstudio.ai/docs/developer/rest/endpoints), of Together
# (docs.together.ai/reference/models).
_MADE_BY_TYPE: Final[Mapping[str | None, str]] = {
    "llm": "text", "vlm": "text", "embeddings": "embeddings",
    "chat": "text", "language": "text", "code": "text", "embedding": "embeddings", "image": "image", "rerank": "rerank",
    "moderation": "moderation",
}  # fmt: skip
# Fields that list abilities, or map them to true or false.
_ABILITY_FIELDS: Final = ("capabilities", "supported_parameters", "supported_features")
_PARAMETER_FIELDS: Final = ("supported_parameters", "supported_sampling_parameters")


def read_models(request: ModelsRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/models``: ``(models, cursor)``. A bare list (Together), or in ``data`` or ``models``."""
    if request.loaded and is_object(body) and (served := _read_served_model(body, target.provider)):
        return Done(((served,), None))
    answer = {"data": body} if _is_bare_list(body) else read_answer(body, target)
    if isinstance(answer, Failure):
        return answer
    items = answer["data"] if "data" in answer else answer.get("models")
    if items is None and answer.get("object") == "list":
        items = []  # Ollama writes an empty list as null
    cursor = text_or_none(answer.get("last_id")) if answer.get("has_more") is True else None
    read = _read_loaded if request.loaded else _read_model
    return read_page(items, partial(read, provider=target.provider), cursor)


def read_model(_: ModelRequest, body: object, target: Target) -> Done | Failure:
    """Read the target's model from the response of ``/models/...``, or from the list of all models."""
    if target.quirks.models_whole:
        listed = read_models(ModelsRequest(), body, target)
        if isinstance(listed, Failure):
            return listed
        model = next((model for model in listed.value[0] if model.id == target.model), None)
        return Failure("model_not_found") if model is None else Done(model)
    answer = read_answer(body, target)
    if isinstance(answer, Failure):
        return answer
    item = answer["data"] if is_object(answer.get("data")) else answer
    model = _read_model(item, target.provider)
    return Done(model) if model else Failure("malformed")


def _read_served_model(body: Mapping[str, Any], provider: str) -> ModelInfo | None:
    """Read llama.cpp's ``/props``: the window of one slot, which is what a request can use (tools/server/README.md)."""
    window = count(object_or_empty(body.get("default_generation_settings")).get("n_ctx"))
    name = text_or_none(body.get("model_alias")) or text_or_none(body.get("model_path")) or "model"
    return ModelInfo(name, provider, context_window=window) if window else None


def _is_bare_list(body: object) -> bool:
    """Return whether the body is a list of models, rather than the list with one error that Google sends."""
    return is_list(body) and not (len(body) == 1 and "error" in object_or_empty(body[0]))


def _read_model(item: Mapping[str, Any], provider: str) -> ModelInfo | None:
    name = text_or_none(item.get("id")) or text_or_none(item.get("name")) or text_or_none(item.get("model"))
    if name is None:
        return None
    # OpenRouter and Cerebras have limits in a nested object.
    sources = (item, object_or_empty(item.get("top_provider")), object_or_empty(item.get("limits")))
    abilities = set(_read_abilities(item))
    features = frozenset(feature for name in abilities for feature in _FEATURES.get(name, ()))
    parameters = frozenset(parameter for field in _PARAMETER_FIELDS for parameter in _names_in(item.get(field)))
    return ModelInfo(
        id=name.removeprefix("models/"),  # Google's prefix
        provider=provider,
        owned_by=text_or_none(item.get("owned_by")) or text_or_none(item.get("organization")),
        created=count(item.get("created")) or None,
        context_window=_first_count(_WINDOW_FIELDS, sources),
        max_output=_first_count(_OUTPUT_FIELDS, sources),
        features=features if abilities else None,
        parameters=parameters or None,
        description=text_or_none(item.get("description")),
        family=text_or_none(item.get("arch")),
        output_types=_read_output_types(item),
    )


def _read_output_types(item: Mapping[str, Any]) -> frozenset[str] | None:
    sources = (item, object_or_empty(item.get("architecture")))
    made = [name for source in sources for name in _names_in(source.get("output_modalities"))]
    if not made and (kind := text_or_none(item.get("type"))) in _MADE_BY_TYPE:
        made = [_MADE_BY_TYPE[kind]]
    return frozenset(made) or None


def _read_loaded(item: Mapping[str, Any], provider: str) -> ModelInfo | None:
    """Read a model of LM Studio's own list. One that is not loaded has no window yet, but the most that it can have."""
    info = _read_model(item, provider)
    if info is None or item.get("state") != "not-loaded":
        return info
    return replace(info, context_window=None, context_length=None)


def _first_count(names: tuple[str, ...], sources: tuple[Mapping[str, Any], ...]) -> int | None:
    counts = (count(source.get(name)) for source in sources for name in names)
    return next((number for number in counts if number), None)


def _read_abilities(item: Mapping[str, Any]) -> Iterator[str]:
    """Yield the abilities that a model list states, by the provider's names."""
    for name in _ABILITY_FIELDS:
        yield from _names_in(item.get(name))
    for source in (item, object_or_empty(item.get("architecture"))):
        yield from (f"input {name}" for name in _names_in(source.get("input_modalities")))
    yield from (name for name, value in item.items() if name.startswith("supports_") and value is True)


def _names_in(abilities: object) -> Iterator[str]:
    """Yield the strings of a list, or the names in an object whose value is true."""
    if is_list(abilities):
        yield from (name for name in abilities if isinstance(name, str))
    elif is_object(abilities):
        yield from (name for name, value in abilities.items() if value is True)
