"""The settings of a chain of targets that are sent to workers: plain data, of which each makes a client of its own.

A client in their place would be sent with its connections and locks, and restored in a worker that starts again; a key
would be sent to every machine, and be in the logs and on the pages of the engine. So a worker finds the keys in its
own environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from typing import Any, Final, cast

from unified_llm._client.client import LLMClient
from unified_llm._config.llm_config import LLMConfig, read_fallbacks
from unified_llm._config.without_keys import without_secrets
from unified_llm.exceptions import ConfigurationError
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

# What ``LLMClient`` takes beside the fields of the first target.
_OF_CLIENT: Final = (
    "fallbacks", "deadline", "hedge_after", "failover_on", "on_stream_break", "skip_unconfigured", "on_attempt",
)  # fmt: skip
# What each row has itself, or a call decides.
_NOT_FOR_ALL: Final = frozenset({"messages", "stream", "request_id", "timeout_override", "original", "texts"})


def make_client(
    settings: Any, owner: str, request: type[LLMRequest | EmbeddingRequest]
) -> tuple[LLMClient, dict[str, Any]]:
    """Return a client of these settings, and those that belong to each of its requests.

    Args:
        settings: A model string, or a mapping of fields of ``LLMConfig``, ``LLMClient`` and a request.
        owner: The name of the class that takes them, for messages.
        request: What is sent for each row.

    Raises:
        ConfigurationError: They are no plain data, hold a key, or are wrong; an ``UnconfiguredError`` names the
            variable that this worker lacks.
    """
    given = _as_mapping(settings, owner)
    of_client = {name: given.pop(name) for name in _OF_CLIENT if name in given}
    of_requests = {name: given.pop(name) for name in _of_requests(request) & given.keys()}
    target = LLMConfig(**given)
    of_client["fallbacks"] = fallbacks = _fallbacks(of_client.get("fallbacks"), owner)
    for config in (target, *fallbacks):
        if isinstance(config, LLMConfig):
            _refuse_keys(config, owner)
    return LLMClient(target, **of_client), of_requests


def _as_mapping(settings: Any, owner: str) -> dict[str, Any]:
    if isinstance(settings, str):
        return {"model": settings}
    if isinstance(settings, Mapping):
        if wrong := [name for name in cast("Mapping[object, Any]", settings) if not isinstance(name, str)]:
            raise ConfigurationError(f"The settings of {owner} have names of fields; got {type(wrong[0]).__name__}.")
        return dict(cast("Mapping[str, Any]", settings))
    raise ConfigurationError(
        f"{owner} takes a model string, or a mapping such as "
        '{"model": "openai/gpt-5-mini", "fallbacks": ["ollama/llama3.2"], "max_tokens": 200}, of which each worker '
        f"makes a client of its own; got {type(settings).__name__}."
    )


def _of_requests(request: type[LLMRequest | EmbeddingRequest]) -> frozenset[str]:
    """Return the fields of a request that no target has: tools, a schema ..."""
    return frozenset(field.name for field in fields_of(request)) - LLMConfig.model_fields.keys() - _NOT_FOR_ALL


def _fallbacks(given: Any, owner: str) -> tuple[str | LLMConfig, ...]:
    """Return the fallbacks, mappings as configurations."""
    for fallback in given if isinstance(given, (list, tuple)) else ():
        if not isinstance(fallback, (str, Mapping)):
            raise ConfigurationError(
                f"The fallbacks of {owner} are model strings or mappings, which can be sent to workers; got "
                f"{type(fallback).__name__}."
            )
    return read_fallbacks(given)


def _refuse_keys(config: LLMConfig, owner: str) -> None:
    values = config.__dict__
    left_out = [name for name, value in without_secrets(values).items() if value != values[name]]
    if left_out:
        raise ConfigurationError(
            f"{' and '.join(left_out)} of {config.model or 'a fallback'} cannot be among the settings of {owner}: they "
            "are sent to other processes and machines, and what may hold a key is not. Set the provider's variable in "
            'the environment of the workers, or name another one: {"api_key_env": "..."}.'
        )
