"""The client of a command: its targets, and the model where none is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from unified_llm.cli._completion import known_models
from unified_llm.cli._prompt import check_argument
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unified_llm._client.client import LLMClient
    from unified_llm._client.local_servers import LocalServer
    from unified_llm.cli._options import SamplingOptions, TargetOptions
    from unified_llm.cli._terminal import Terminal
    from unified_llm.types.responses import ModelInfo

MODEL_VARIABLE: Final = "UNIFIED_LLM_MODEL"
NAMING_A_TARGET: Final = frozenset({"model", "provider", "base_url"})
# The provider of servers of which only the address is known.
_ANY_SERVER: Final = "openai-compatible"
# Features that tell models for chat from those for embeddings.
_CHAT: Final = frozenset({"streaming"})
_EMBEDDINGS: Final = frozenset({"embeddings"})


def open_client(
    options: TargetOptions,
    terminal: Terminal,
    sampling: SamplingOptions | None = None,
    *,
    local: bool = False,
    embeddings: bool = False,
) -> LLMClient:
    """Return a client for the targets of a command, see ``find_chain``."""
    from unified_llm._client.client import LLMClient

    return LLMClient(**find_chain(options, terminal, sampling, local=local, embeddings=embeddings))


def find_chain(
    options: TargetOptions,
    terminal: Terminal,
    sampling: SamplingOptions | None = None,
    *,
    local: bool = False,
    embeddings: bool = False,
) -> dict[str, Any]:
    """Return the arguments of a client for the targets of a command. A model that nobody named is named in a note.

    Args:
        options: The options about targets.
        terminal: Where the note goes.
        sampling: The options about the response.
        local: Use a local server where the options name no target, whatever else is configured.
        embeddings: Choose among models for embeddings, rather than among those for chat.

    Raises:
        ConfigurationError: A target is wrong, or there is no model.
    """
    from unified_llm._client.client import LLMClient

    fields = fields_of(options, sampling)
    if not fields.keys() & NAMING_A_TARGET and (local or configured_target() is None):
        fields |= _find_local_model(terminal, embeddings=embeddings)
    elif fields.get("provider") == "mlx" and "model" not in fields and "base_url" not in fields:
        fields |= _find_mlx_model(terminal)
    chain = chain_of(fields, options)
    with LLMClient(**chain) as client:
        if client.targets[0].model:
            return chain
        model = _model_of_server(client, terminal, embeddings=embeddings)
    return chain_of({**fields, "model": model}, options)


def chain_of(fields: dict[str, Any], options: TargetOptions) -> dict[str, Any]:
    """Return the arguments of a client whose first target has these fields."""
    if "base_url" in fields and "provider" not in fields and ("model" in fields or configured_target() is None):
        _name_provider(fields)
    fallbacks = tuple(check_argument(model, "--fallback") for model in options.fallback or ())
    return {"config": fields, "fallbacks": fallbacks, "skip_unconfigured": options.skip_unconfigured}


def fields_of(options: TargetOptions, sampling: SamplingOptions | None = None) -> dict[str, Any]:
    """Return the fields of the first target that options set; empty where they set none."""
    fields: dict[str, Any] = {
        "model": options.model,
        "provider": options.provider,
        "base_url": options.base_url,
        "timeout": options.timeout,
        "rpm": options.rpm,
        "tpm": options.tpm,
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
        fields["provider"] = _ANY_SERVER


def _model_of_server(client: LLMClient, terminal: Terminal, *, embeddings: bool) -> str:
    """Return the first fitting model in the list of a local server, or of one at an address on this machine.

    Raises:
        ConfigurationError: The provider is hosted, or its list has no such model.
        LLMError: It does not respond.
    """
    from unified_llm._core.base_url import is_loopback
    from unified_llm._providers import registry

    target = client.targets[0]
    is_here = target.provider == _ANY_SERVER and is_loopback(target.base_url)
    if not is_here and not registry.row(target.provider).local:
        examples = " or ".join(f"--model {model}" for model in list(known_models(target.provider))[:2])
        raise ConfigurationError(f"{target.provider} is given without a model: pass {examples or '--model'}")
    listed = [model for model in client.list_models() if model.provider == target.provider]
    models = fitting_models(listed, embeddings=embeddings)
    if not models:
        kind = "embeddings" if embeddings else "chat"
        raise ConfigurationError(f"{target.provider} has no model for {kind} yet: load or pull one, or pass --model")
    _note_choice(f"{target.provider}/{models[0]}", len(models), terminal)
    return models[0]


def fitting_models(models: Iterable[ModelInfo], *, embeddings: bool) -> list[str]:
    """Return the names of the models for embeddings, or of those for chat, in their order."""
    from unified_llm._client.model_filters import supporting

    return [model.id for model in supporting(tuple(models), _EMBEDDINGS if embeddings else _CHAT)]


def _note_choice(model: str, models: int, terminal: Terminal, where: str = "") -> None:
    others = f", the first of its {models} models; --model chooses another" if models > 1 else ""
    terminal.note(f"using {model}{where}{others}")


def _find_mlx_model(terminal: Terminal) -> dict[str, Any]:
    """Return the first model that was downloaded for MLX; nothing where a variable names one, or MLX cannot run here.

    Raises:
        ConfigurationError: None was downloaded.
    """
    from unified_llm._backends.mlx import unavailable_reason
    from unified_llm._backends.mlx.local_models import find_models
    from unified_llm._core.environment import variable

    if variable("MLX_MODEL_PATH") or unavailable_reason():
        return {}
    models = [model.id for model in find_models() if model.id != "demo"]
    if not models:
        raise ConfigurationError(
            "mlx is given without a model, and none was downloaded: run unified-llm mlx pull "
            "mlx-community/Qwen3-4B-4bit, or try --model mlx/demo"
        )
    _note_choice(f"mlx/{models[0]}", len(models), terminal)
    return {"model": models[0]}


def _find_local_model(terminal: Terminal, *, embeddings: bool) -> dict[str, Any]:
    """Look for a server on this machine that has a fitting model.

    Raises:
        ConfigurationError: There is none.
    """
    from unified_llm._client.local_servers import find_local_servers

    servers = find_local_servers()
    for server in servers:
        models = fitting_models(server.models, embeddings=embeddings) if server.certain else []
        if models:
            _note_choice(f"{server.provider}/{models[0]}", len(models), terminal, f" at {server.base_url}")
            return {"provider": server.provider, "base_url": server.base_url, "model": models[0]}
    raise ConfigurationError(_no_model(servers))


def configured_target() -> str | None:
    """Return the model, or the provider, that is configured for commands that name none; None if there is none."""
    from unified_llm._config import process_settings

    for layer in process_settings.layers():
        if named := layer.fields.get("model") or layer.fields.get("provider"):
            return str(named)
    return None


def _no_model(servers: Sequence[LocalServer]) -> str:
    """Say that there is no model, and which choices there are."""
    from unified_llm._config import process_settings

    choices = ["pass --model provider/model"]
    file = process_settings.state().file
    if file is not None and file.profiles:
        choices.append(f"use a profile of {file.document.path} (--model @{next(iter(file.profiles))})")
    choices.append(f"set {MODEL_VARIABLE}")
    choices += map(_use_of, servers) if servers else ["start a local server such as Ollama"]
    listed = ", ".join(choices)
    return f"no model is given, and no local server that has one is running: {listed}, or try --model mlx/demo"


def _use_of(server: LocalServer) -> str:
    """Say how a server that was not chosen can be used."""
    if server.certain:
        return f"load or pull a model at {server.provider}, which runs at {server.base_url}"
    return f"use what answers at {server.base_url} with --provider {server.provider}"
