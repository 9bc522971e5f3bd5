"""Model strings of configurations: ``provider/model``, or a model beside ``provider=``."""

from __future__ import annotations

from typing import Final

from unified_llm._config.credentials import from_environment
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.mlx_targets import default_mlx_model, model_in
from unified_llm._core import paths
from unified_llm._core.redaction import quoted
from unified_llm._providers import registry, unknown_names
from unified_llm._providers.spec import ProviderSpec
from unified_llm.exceptions import ConfigurationError

_LONGEST_MODEL: Final = 256
# What is copied along with the name of a model from a file, a shell or a page.
_AROUND_A_MODEL: Final = " \t\r\n\"'"


def _check_model_string(model: str) -> None:
    """Refuse what can be no name of a model.

    Raises:
        ConfigurationError: It is such a text.
    """
    if not (model.strip() and model.strip().isprintable()):
        raise ConfigurationError(
            'model= is empty or not printable: write "provider/model", such as "openai/gpt-5-mini".'
        )
    if len(model) > _LONGEST_MODEL:
        raise ConfigurationError(
            f"model= is longer than {_LONGEST_MODEL} characters, so it is not the name of a model."
        )
    if model != (stripped := model.strip(_AROUND_A_MODEL)) and stripped[-1:] not in {"/", ":", ""}:
        raise ConfigurationError(
            f"model= has blanks, line breaks or quotes around it: did you mean {quoted(stripped)}?"
        )


def provider_and_model(config: LLMConfig) -> tuple[ProviderSpec, str]:
    """Return the provider's row, and the model as the provider names it."""
    model = config.model
    if model is not None:
        _check_model_string(model)
    if config.provider is not None:
        spec = registry.row(config.provider)
        name = model or ""
        if model is None and not (spec.format == "mlx" and config.base_url):
            name = default_model(spec)
    elif model is None:
        raise ConfigurationError('A target needs a model: write "provider/model", such as "openai/gpt-5-mini".')
    else:
        named = registry.parse_model_string(model)
        if named is None:
            raise ConfigurationError(f"{registry.unknown_model(model)}")
        spec, name = registry.row(named[0]), named[1]
        if problem := unknown_names.misread(model, name, local=spec.local):
            raise ConfigurationError(problem)
    if spec.format == "mlx" and config.base_url is not None:
        return spec, model_in(config.base_url, name)
    # In many formats the name becomes part of the URL. That of a local model is the path of a folder.
    if spec.format != "mlx" and (problem := paths.problem_with(name)):
        raise ConfigurationError(f"The model at {spec.title} {problem}: pass the name that the provider lists.")
    return spec, name


def default_model(spec: ProviderSpec) -> str:
    """Return the model that the environment names for a provider; empty where it names none."""
    folder = default_mlx_model() if spec.format == "mlx" else ""
    return folder or from_environment(spec.model_env) or ""


def has_own_model(config: LLMConfig) -> bool:
    """Return whether a configuration without ``model`` has one: from the environment, or a folder of MLX."""
    if config.model is not None or config.provider is None:
        return False
    spec = registry.row(config.provider)
    return (spec.format == "mlx" and config.base_url is not None) or bool(default_model(spec))


def name_elsewhere(provider: str, model: str, spec: ProviderSpec) -> str:
    """Return the name at another provider of a model that a call, or the primary, names.

    The name is the same, but for what says whose model it is: ``openai/gpt-oss-20b`` of a gateway is ``gpt-oss-20b`` at
    a provider whose names have no such part, and ``gpt-5-mini`` of OpenAI is ``openai/gpt-5-mini`` at OpenRouter.

    Args:
        provider: The provider that the model was named for.
        model: The model, as that provider names it.
        spec: The other provider.
    """
    if spec.owner_in_names and "/" not in model:
        return f"{provider}/{model}"
    owner, slash, rest = model.partition("/")
    named = registry.find(owner) if slash and rest.strip() else None
    drops_owner = named is not None and (named.name in {provider, spec.name} or not spec.literal_models)
    return rest if drops_owner else model
