"""The client of a command: its targets, and the model where none is given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from unified_llm.cli._completion import known_models
from unified_llm.cli._prompt import check_argument
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from unified_llm._client.client import LLMClient
    from unified_llm.cli._options import SamplingOptions, TargetOptions
    from unified_llm.cli._terminal import Terminal

MODEL_VARIABLE: Final = "UNIFIED_LLM_MODEL"
_NO_MODEL: Final = (
    "no model is given, and no local server that has one is running: pass --model provider/model, set "
    f"{MODEL_VARIABLE}, start a local server such as Ollama, or try --model mlx/demo"
)


def open_client(options: TargetOptions, terminal: Terminal, sampling: SamplingOptions | None = None) -> LLMClient:
    """Return a client for the targets of a command. A model that nobody named is named in a note.

    Raises:
        ConfigurationError: A target is wrong, or there is no model.
    """
    from unified_llm._client.client import LLMClient

    fields = _fields_of(options, sampling)
    if not fields.keys() & {"model", "provider", "base_url"}:
        fields["model"] = os.environ.get(MODEL_VARIABLE) or _find_local_model()
    elif "provider" not in fields and "base_url" in fields:
        _name_provider(fields)
    fallbacks = tuple(check_argument(model, "--fallback") for model in options.fallback or ())
    chain: dict[str, Any] = {"fallbacks": fallbacks, "skip_unconfigured": options.skip_unconfigured}
    client = LLMClient(fields, **chain)
    if client.targets[0].model:
        return client
    with client:
        return LLMClient({**fields, "model": _model_of_server(client, terminal)}, **chain)


def _fields_of(options: TargetOptions, sampling: SamplingOptions | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": options.model,
        "provider": options.provider,
        "base_url": options.base_url,
        "timeout": options.timeout,
        "api_key_env": options.api_key_env,
    }
    if sampling is not None:
        fields |= {"temperature": sampling.temperature, "max_tokens": sampling.max_tokens}
    for name in ("model", "provider", "base_url"):
        if fields[name] is not None:
            check_argument(fields[name], f"--{name.replace('_', '-')}")
    return {name: value for name, value in fields.items() if value is not None}


def _name_provider(fields: dict[str, Any]) -> None:
    """Take a server of which only the address is given for one with OpenAI's format."""
    from unified_llm._providers.registry import parse_model_string

    if "model" not in fields or parse_model_string(fields["model"]) is None:
        fields["provider"] = "openai-compatible"


def _model_of_server(client: LLMClient, terminal: Terminal) -> str:
    """Return the first model for chat in the list of a local server.

    Raises:
        ConfigurationError: The provider is hosted, or its list has no such model.
        LLMError: It does not respond.
    """
    from unified_llm._providers import registry

    target = client.targets[0]
    if not registry.row(target.provider).local:
        examples = " or ".join(f"--model {model}" for model in list(known_models(target.provider))[:2])
        raise ConfigurationError(f"{target.provider} is given without a model: pass {examples or '--model'}")
    models = [
        model.id
        for model in client.list_models()
        if model.provider == target.provider and "embed" not in model.id.lower()
    ]
    if not models:
        raise ConfigurationError(f"{target.provider} has no model for chat yet: load or pull one, or pass --model")
    others = f", the first of its {len(models)} models; --model chooses another" if len(models) > 1 else ""
    terminal.note(f"using {target.provider}/{models[0]}{others}")
    return models[0]


def _find_local_model() -> str:
    raise ConfigurationError(_NO_MODEL)
