"""Model lists, and what they say of models: windows, limits, abilities, each provider in words of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.json_values import count, is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.openai_chat.response import read_answer
from unified_llm._formats.response_fields import read_page
from unified_llm.types.requests import ModelRequest, ModelsRequest
from unified_llm.types.responses import ModelInfo

_WINDOWS: Final = ("context_length", "context_window", "max_model_len", "max_context_length", "max_input_tokens")
_OUTPUTS: Final = ("max_completion_tokens", "max_output_length", "max_output_tokens")
# What providers call the features that we know: parameters (OpenRouter), capabilities (Mistral, Cerebras), fields of
# their own (Fireworks, Moonshot), input modalities (OpenRouter, xAI).
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
# Where abilities are listed, or marked as true or false.
_SAID: Final = ("capabilities", "supported_parameters", "supported_features")
_PARAMETERS: Final = ("supported_parameters", "supported_sampling_parameters")


def read_models(_: ModelsRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/models``: ``(models, cursor)``. Together sends a bare list, others name it data or models."""
    answer = {"data": body} if _is_bare_list(body) else read_answer(body, target)
    if isinstance(answer, Failure):
        return answer
    items = answer["data"] if "data" in answer else answer.get("models")
    cursor = text_or_none(answer.get("last_id")) if answer.get("has_more") is True else None
    return read_page(items, lambda item: _model(item, target.provider), cursor)


def read_model(_: ModelRequest, body: object, target: Target) -> Done | Failure:
    """What is said of the target's model: the answer of ``/models/...``, or its place in the list of all."""
    if target.quirks.models_whole:
        listed = read_models(ModelsRequest(), body, target)
        if isinstance(listed, Failure):
            return listed
        found = next((model for model in listed.value[0] if model.id == target.model), None)
        return Failure("model_not_found") if found is None else Done(found)
    answer = read_answer(body, target)
    if isinstance(answer, Failure):
        return answer
    item = answer["data"] if is_object(answer.get("data")) else answer
    model = _model(item, target.provider)
    return Done(model) if model else Failure("malformed")


def _is_bare_list(body: object) -> bool:
    """Whether it is a list of models, and not the list of one error that Google sends."""
    return is_list(body) and not (len(body) == 1 and "error" in object_or_empty(body[0]))


def _model(item: Mapping[str, Any], provider: str) -> ModelInfo | None:
    name = text_or_none(item.get("id")) or text_or_none(item.get("name")) or text_or_none(item.get("model"))
    if name is None:
        return None
    # OpenRouter and Cerebras keep limits in an object of their own.
    places = (item, object_or_empty(item.get("top_provider")), object_or_empty(item.get("limits")))
    said = set(_said(item))
    features = frozenset(feature for word in said for feature in _FEATURES.get(word, ()))
    parameters = frozenset(word for name in _PARAMETERS for word in _words(item.get(name)))
    return ModelInfo(
        id=name.removeprefix("models/"),  # Google's own way to write them
        provider=provider,
        owned_by=text_or_none(item.get("owned_by")) or text_or_none(item.get("organization")),
        created=count(item.get("created")) or None,
        context_window=_first(_WINDOWS, places),
        max_output=_first(_OUTPUTS, places),
        features=features if said else None,
        parameters=parameters or None,
    )


def _first(names: tuple[str, ...], places: tuple[Mapping[str, Any], ...]) -> int | None:
    numbers = (count(non_negative_int.get(name)) for non_negative_int in places for name in names)
    return next((number for number in numbers if number), None)


def _said(item: Mapping[str, Any]) -> Iterator[str]:
    """The abilities that a list names, in the provider's words."""
    for name in _SAID:
        yield from _words(item.get(name))
    for non_negative_int in (item, object_or_empty(item.get("architecture"))):
        yield from (f"input {word}" for word in _words(non_negative_int.get("input_modalities")))
    yield from (name for name, value in item.items() if name.startswith("supports_") and value is True)


def _words(said: object) -> Iterator[str]:
    """The words of a list, or of an object those that are true."""
    if is_list(said):
        yield from (word for word in said if isinstance(word, str))
    elif is_object(said):
        yield from (word for word, value in said.items() if value is True)
