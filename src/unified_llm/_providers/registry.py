"""Look-ups in the provider table: rows by name, model strings, and what a model can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from unified_llm._core.features import Feature, FeaturePair, Output
from unified_llm._core.quirks import Quirks
from unified_llm._core.redaction import quoted
from unified_llm._lib.close_names import closest
from unified_llm._providers import feature_pairs, models
from unified_llm._providers.clouds import CLOUDS
from unified_llm._providers.hosted import HOSTS
from unified_llm._providers.local import SERVERS
from unified_llm._providers.makers import MAKERS
from unified_llm._providers.other_names import ALIASES, ALSO_ORGANISATIONS, key
from unified_llm._providers.output_types import output_types
from unified_llm._providers.spec import ProviderSpec
from unified_llm._providers.unknown_names import explain_model, explain_provider
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from unified_llm._core.target import Target

__all__ = [
    "ALIASES", "ROWS", "ModelProfile", "Provider", "ProviderSpec", "find", "model_profile", "parse_model_string",
    "register", "registered", "row", "suggest", "unknown_model", "unregister",
]  # fmt: skip

ROWS: Final = (*MAKERS, *HOSTS, *CLOUDS, *SERVERS)
"""The provider table: one row for each provider.

Everything that lists providers is derived from it: documentation, command line, parametrised tests. A row is data; a
provider that needs a condition gets a codec of its own.
"""


class Provider(StrEnum):
    """Names of providers, for editors and type checkers. Any name of the table is accepted as a string."""

    OPENAI = "openai"
    AZURE = "azure"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    COHERE = "cohere"
    MISTRAL = "mistral"
    PERPLEXITY = "perplexity"
    DEEPSEEK = "deepseek"
    XAI = "xai"
    MOONSHOT = "moonshot"
    ZAI = "zai"
    MINIMAX = "minimax"
    HUGGINGFACE = "huggingface"
    OPENROUTER = "openrouter"
    TOGETHER = "together"
    GROQ = "groq"
    FIREWORKS = "fireworks"
    CEREBRAS = "cerebras"
    NVIDIA = "nvidia"
    SAMBANOVA = "sambanova"
    DEEPINFRA = "deepinfra"
    BEDROCK = "bedrock"
    VERTEX = "vertex"
    OLLAMA = "ollama"
    MLX = "mlx"
    LMSTUDIO = "lmstudio"
    VLLM = "vllm"
    LLAMACPP = "llamacpp"
    LITELLM = "litellm"
    OPENAI_COMPATIBLE = "openai-compatible"


Provider.__module__ = "unified_llm"  # where users import it from

# What a format cannot carry, whatever a provider can do in another.
_NOT_IN_RESPONSES: Final[frozenset[Feature]] = frozenset({"audio", "n", "as_text"})
_BEYOND: Final[Mapping[str, frozenset[Feature]]] = MappingProxyType({
    "openai_responses": _NOT_IN_RESPONSES,
    "azure_responses": _NOT_IN_RESPONSES,
})  # fmt: skip
_ROWS: Final[Mapping[str, ProviderSpec]] = MappingProxyType({each.name: each for each in ROWS})
_ADDED: Final[dict[str, ProviderSpec]] = {}  # at run time; each change is one assignment, so readers need no lock


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """Profile of one model at one provider.

    Attributes:
        features: What it can do.
        quirks: What its provider and it differ in.
        context_window: Tokens that a prompt can have, or None where that is not known.
        reasoning: It may think for minutes before the first token.
        max_output: The most tokens of an answer, or None where that is not known.
        format: The wire format of requests to it.
        vector_length: The length of its vectors, where it has only one.
        exclusive: Pairs of features that it cannot combine in one request.
        outputs: What it makes; empty where that is not known.
    """

    features: frozenset[Feature]
    quirks: Quirks
    context_window: int | None = None
    reasoning: bool = False
    max_output: int | None = None
    format: str = "openai_chat"
    vector_length: int | None = None
    exclusive: frozenset[FeaturePair] = frozenset()
    outputs: frozenset[Output] = frozenset()


def row(name: str) -> ProviderSpec:
    """Return the row of a provider, by name or alias, in any case.

    Raises:
        ConfigurationError: There is none; the message suggests the nearest name.
    """
    spec = find(name)
    if spec is None:
        raise ConfigurationError(f"{quoted(name)} is no known provider: {explain_provider(name, _known())}")
    return spec


def find(name: str) -> ProviderSpec | None:
    """Return the row of a provider by name or alias, in any case; None if there is none."""
    lowered = name.lower()
    return _ROWS.get(lowered) or _ADDED.get(lowered) or _ROWS.get(ALIASES.get(key(name), ""))


def find_by_langsmith_name(name: str) -> ProviderSpec | None:
    """Return the row of a provider by its ``ls_provider`` (``google_genai``), or by its name; None if there is none."""
    return next((spec for spec in _ROWS.values() if name == spec.langsmith_name), None) or find(name)


def register(added: ProviderSpec) -> ProviderSpec | None:
    """Add a row for the rest of the process; returns the one that had the name before, if any.

    Raises:
        ConfigurationError: The name belongs to the table.
    """
    if added.name in _ROWS or key(added.name) in ALIASES:
        raise ConfigurationError(f"{added.name!r} is a known provider already: choose another name.")
    before = _ADDED.get(added.name)
    _ADDED[added.name] = added
    return before


def registered() -> tuple[ProviderSpec, ...]:
    """Return the rows that were added."""
    return tuple(_ADDED.values())


def specs() -> tuple[ProviderSpec, ...]:
    """Return all rows, those that were added last."""
    return (*ROWS, *_ADDED.values())


def unregister(name: str) -> None:
    """Take a row that was added out again."""
    _ADDED.pop(name, None)


def suggest(text: str) -> str | None:
    """Return the known provider whose name is most like this text, if any is like it."""
    near = closest(text, [*_known(), *ALIASES])
    return None if near is None else ALIASES.get(near, near)


def _known() -> tuple[str, ...]:
    return (*_ROWS, *_ADDED)


def parse_model_string(model: str, separators: str = "/:") -> tuple[str, str] | None:
    """Split a model string into provider and model; None if the text before the first separator is no provider.

    Raises:
        ConfigurationError: A provider is named, but no model.
    """
    positions = [position for separator in separators if (position := model.find(separator)) >= 0]
    if not positions:
        return None
    first = min(positions)
    spec = find(model[:first])
    if spec is None or (model[first] == "/" and key(model[:first]) in ALSO_ORGANISATIONS):
        return None
    if not model[first + 1 :].strip():
        raise ConfigurationError(f'{spec.name} is named without a model: write "{spec.name}/model".')
    return spec.name, model[first + 1 :]


def unknown_model(model: str) -> str:
    """Describe the mistake in a model string that names no known provider, with what may be meant."""
    return explain_model(model, _known())


def _exclusive_pairs(where: ProviderSpec, model: str) -> frozenset[FeaturePair]:
    """Return the pairs that a model cannot combine; a row that was added is like the table's row of its format."""
    if where.instance is not None:  # an object gets the request as it is
        return frozenset()
    like = where.name if where.name in _ROWS else where.format
    return feature_pairs.exclusive_pairs(like if like in _ROWS else "openai-compatible", model)


def model_profile(where: ProviderSpec, model: str, api: str | None = None) -> ModelProfile:
    """Return what is known of a model at a provider: the row, refined by what ``models`` says of such a name.

    Args:
        where: The provider.
        model: The model, as the provider names it.
        api: The name of the format that the user chose in place of the usual one.

    Raises:
        ConfigurationError: The provider has no such format.
    """
    if api is not None and api not in where.apis:
        known_apis = ", ".join(where.apis) or "none"
        raise ConfigurationError(f"{where.title} has no api {quoted(api)}; to choose from: {known_apis}.")
    known = models.find(where.name, model)
    if api is None and known is not None and known.api in where.apis:
        api = known.api
    wire_format = where.format if api is None else where.apis[api]
    row_features = where.api_features.get(api or "", where.features) - _BEYOND.get(wire_format, frozenset())
    exclusive = _exclusive_pairs(where, model)
    # What an object, or a folder of this machine, makes is its own affair.
    outputs = output_types(where.name, model) if where.format not in {"user", "mlx"} else frozenset[Output]()
    if known is None:
        return ModelProfile(row_features, where.quirks, format=wire_format, exclusive=exclusive, outputs=outputs)
    quirks = replace(where.quirks, drop=where.quirks.drop | known.drop)
    if known.drop_reasoning:
        quirks = replace(quirks, drop_reasoning=known.drop_reasoning, reasons_unasked=known.unasked)
    if known.efforts:
        quirks = replace(quirks, effort_levels=known.efforts)
    if known.voice:
        quirks = replace(quirks, voice=known.voice)
    if known.thinks:
        quirks = replace(quirks, thinks=known.thinks)
    features = (row_features - known.lacks) | (known.gains - _BEYOND.get(wire_format, frozenset()))
    return ModelProfile(
        features,
        quirks,
        known.window,
        known.reasoning,
        known.output,
        wire_format,
        known.vector_length,
        exclusive,
        outputs,
    )


def api_of(target: Target) -> str:
    """Return the API of a target: its provider, with the format where that is not the usual one."""
    spec = find(target.provider)
    usual = target.format if spec is None else spec.format
    return target.provider if target.format == usual else f"{target.provider}:{target.format}"
