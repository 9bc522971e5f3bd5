"""Fit a call to a wrapped LangChain model, by the model's own fields and the signature of its ``bind_tools``.

Keyword arguments of ``_generate`` say nothing: nearly every model takes any, and hands them to a client that does not.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final

import pydantic
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding

from unified_llm._core.dropped_settings import CHAT_SETTINGS, report_dropped
from unified_llm._core.quirks import Quirks
from unified_llm._providers import registry
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types.requests import LLMRequest

# Settings of a call -> fields with the same meaning. Sources: the reference of langchain-openai and langchain-anthropic
# for max_tokens, of langchain-nvidia-ai-endpoints for max_completion_tokens, of langchain-google-genai for
# max_output_tokens, of langchain-ollama for num_predict, of langchain-huggingface for max_new_tokens.
# https://reference.langchain.com/python/integrations/
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict", "max_new_tokens"),
    "top_p": ("top_p",),
    "seed": ("seed",),
    "frequency_penalty": ("frequency_penalty",),
    "presence_penalty": ("presence_penalty",),
    "reasoning_effort": ("reasoning_effort",),
}

# Settings whose results are not read from a wrapped model's response.
_UNREAD: Final = frozenset({"logprobs", "top_logprobs"})
# What LangChain's own ``BaseChatModel.bind_tools`` names.
_STANDARD_OPTIONS: Final = frozenset({"tool_choice"})


def quirks_of(model: BaseChatModel, provider: str, name: str) -> Quirks:
    """Return what a wrapped model does not take: settings without a field, and what the API of its provider refuses.

    Args:
        model: The wrapped model.
        provider: LangSmith's name of its provider.
        name: The name of the model.
    """
    refused = {setting for setting in _FIELDS if _field_of(type(model), setting) is None}
    spec = registry.find_by_langsmith_name(provider)
    known = registry.model_profile(spec, name).quirks if spec else Quirks()
    refused |= known.drop & {*_FIELDS, "stop"}
    return Quirks(drop=frozenset(refused | _UNREAD), limits=known.limits, max_stops=known.max_stops)


def with_settings(model: BaseChatModel, request: LLMRequest, refused: frozenset[str], name: str) -> BaseChatModel:
    """Return the model with the settings of a call in place of its own, where it has a field that takes them.

    Args:
        model: The wrapped model, which is not changed.
        request: The request.
        refused: Settings that the model does not take.
        name: What the log calls it.
    """
    changes: dict[str, Any] = {}
    for setting in CHAT_SETTINGS:
        value = getattr(request, setting)
        if value is None:
            continue
        field = None if setting in refused else _field_of(type(model), setting)
        if field is None:
            report_dropped(setting, name, "whose class or provider does not take it")
        elif _accepts(type(model), field, value):
            changes[field] = value
        else:
            report_dropped(setting, name, "whose class refuses the value")
    return model.model_copy(update=changes) if changes else model


def bind_tools(model: BaseChatModel, tools: Sequence[Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keyword arguments for tools that the model's ``bind_tools`` makes.

    Args:
        model: The wrapped model.
        tools: The tools in OpenAI's format, or a provider's own.
        options: ``tool_choice``, ``parallel_tool_calls``; None stands for absent. What ``bind_tools`` does not name is
            left out: a model hands it to a client that may not take it.

    Raises:
        UnsupportedOperationError: The model does not take one of the tools, or the choice.
    """
    named, takes_others = _parameters(type(model))
    if takes_others:
        named |= _STANDARD_OPTIONS
    accepted = {name: value for name, value in options.items() if value is not None and name in named}
    try:
        binding = model.bind_tools(tools, **accepted)
    except (TypeError, ValueError, KeyError, NotImplementedError) as problem:
        raise UnsupportedOperationError(
            f"{type(model).__name__}.bind_tools does not accept the tools of this call ({type(problem).__name__})."
        ) from problem
    return dict(binding.kwargs) if isinstance(binding, RunnableBinding) else {}


def takes_tool_choice(model: BaseChatModel) -> bool:
    """Return whether a choice changes what ``bind_tools`` binds: ``ChatOllama``, for one, takes it and ignores it."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    try:
        return dict(bind_tools(model, tools, {"tool_choice": "any"})) != dict(bind_tools(model, tools, {}))
    except UnsupportedOperationError:
        return True  # it may take others


@lru_cache(maxsize=256)
def _parameters(kind: type[BaseChatModel]) -> tuple[frozenset[str], bool]:
    """Return the arguments that the ``bind_tools`` of a class names, and whether it takes any others."""
    parameters = inspect.signature(kind.bind_tools).parameters.values()
    named = frozenset(each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD)
    return named, len(named) < len(parameters)


@lru_cache(maxsize=1024)
def _field_of(kind: type[BaseChatModel], setting: str) -> str | None:
    return next((name for name in _FIELDS[setting] if name in kind.model_fields), None)


def _accepts(kind: type[BaseChatModel], field: str, value: Any) -> bool:
    """Return whether a field takes a value; a copy of a model is not validated."""
    try:
        _adapter(kind, field).validate_python(value)
    except pydantic.ValidationError:
        return False
    return True


@lru_cache(maxsize=1024)
def _adapter(kind: type[BaseChatModel], field: str) -> pydantic.TypeAdapter[Any]:
    declared = kind.model_fields[field]
    annotation: Any = Annotated[declared.annotation, declared]
    return pydantic.TypeAdapter(annotation)
