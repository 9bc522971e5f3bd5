"""Model strings of configurations: ``provider/model``, or a model beside ``provider=``."""

from __future__ import annotations

from typing import Final

from unified_llm._config.llm_config import LLMConfig
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
        spec, name = registry.row(config.provider), model or ""
    elif model is None:
        raise ConfigurationError('A target needs a model: write "provider/model", such as "openai/gpt-5-mini".')
    else:
        named = registry.parse_model_string(model)
        if named is None:
            raise ConfigurationError(f"{registry.unknown_model(model)}")
        spec, name = registry.row(named[0]), named[1]
        if problem := unknown_names.misread(model, name, local=spec.local):
            raise ConfigurationError(problem)
    # In many formats the name becomes part of the URL. That of a local model is the path of a folder.
    if spec.format != "mlx" and (problem := paths.problem_with(name)):
        raise ConfigurationError(f"The model at {spec.title} {problem}: pass the name that the provider lists.")
    return spec, name
