"""Which lists and models ``list_models`` returns: those of one provider, those that support what is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, get_args

from unified_llm._client.model_lists import ModelListKey
from unified_llm._client.vector_space import makes_vectors_only
from unified_llm._core.features import Feature
from unified_llm._core.redaction import quoted
from unified_llm._lib.close_names import closest
from unified_llm._providers import registry
from unified_llm._providers.output_types import features_for
from unified_llm.exceptions import ValidationError
from unified_llm.types.responses import ModelInfo

if TYPE_CHECKING:
    from unified_llm._state.model_list_cache import Models

_FEATURES: Final[tuple[str, ...]] = get_args(Feature)
_KNOWN: Final = f"known are {', '.join(_FEATURES)}."
_UNSHOWN: Final = "of that name"
# Other words for a feature, for the suggestion.
_OTHER_WORDS: Final[Mapping[str, str]] = {
    "vision": "images",
    "image": "images",
    "multimodal": "images",
    "json": "json_schema",
    "json_mode": "json_object",
    "structured_output": "json_schema",
    "structured_outputs": "json_schema",
    "function_calling": "tools",
    "functions": "tools",
    "tool_calling": "tools",
    "embedding": "embeddings",
    "embed": "embeddings",
    "pdf": "files",
    "speech": "audio",
    "reranking": "rerank",
}
# A provider that ranks does so with models of its own, whose names say it.
_RANKS: Final = "rerank"


def of_provider(keys: Sequence[ModelListKey], provider: object) -> Sequence[ModelListKey]:
    """Return the lists of one provider of a chain; all of them where ``provider`` is None.

    Raises:
        ValidationError: The chain has no such provider.
    """
    if provider is None:
        return keys
    names = list(dict.fromkeys(key.target.provider for key in keys))
    if not isinstance(provider, str):
        raise ValidationError(f"provider= must be the name of a provider in the chain: {', '.join(names)}.")
    spec = registry.find(provider)
    name = spec.name if spec else provider
    chosen = [key for key in keys if key.target.provider == name]
    if not chosen:
        near = None if spec else closest(provider, names)
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(names)}. Make a client for another provider."
        raise ValidationError(f"provider=: the chain has no provider {quoted(provider, _UNSHOWN)}: {hint}")
    return chosen


def read_features(supports: object) -> frozenset[str]:
    """Return the features in the argument ``supports``: a name, or several.

    Raises:
        ValidationError: One is unknown; with the nearest known name.
    """
    if supports is None:
        return frozenset()
    names: list[Any] = [supports] if isinstance(supports, str) or not isinstance(supports, Iterable) else [*supports]
    for name in names:
        if not isinstance(name, str):
            raise ValidationError(f'supports= must be a feature such as "tools", or a list of features: {_KNOWN}')
        if name not in _FEATURES:
            near = _OTHER_WORDS.get(name.lower().replace("-", "_").replace(" ", "_")) or closest(name, _FEATURES)
            hint = f"did you mean {near!r}?" if near else _KNOWN
            raise ValidationError(f"supports=: there is no feature {quoted(name, _UNSHOWN)}: {hint}")
    return frozenset(names)


def supporting(models: Models, features: frozenset[str]) -> Models:
    """Return the models of one provider's list that have all these features.

    A feature that the list states for some of its models is missing at the others that it describes. What it states for
    none is as the package knows it of models with such a name, or of their provider; a model of which nothing is known
    stays, as in a call: only what is known to be missing rules a model out.
    """
    if not features:
        return models
    stated = frozenset[str]().union(*(info.features or () for info in models))
    return tuple(info for info in models if features <= _features_of(info, stated))


def _features_of(info: ModelInfo, stated: frozenset[str]) -> frozenset[str]:
    known = _known_features(info)
    return known if info.features is None else (known - stated) | info.features


def _known_features(info: ModelInfo) -> frozenset[str]:
    """Return what the package knows of a model; few make vectors or rank, so those are known by name or profile."""
    spec = registry.find(info.provider)
    if spec is None:
        return frozenset(_FEATURES)
    if spec.format == "mlx":  # the list has all that the files of each model say
        return frozenset()
    profile = registry.model_profile(spec, info.id)
    features: frozenset[str] = features_for(profile.features, info.output_types or ())
    makes_vectors = info.output_types == frozenset({"embeddings"}) and "embeddings" in features
    if makes_vectors or makes_vectors_only(info.id, profile.features, profile.vector_length):
        return features & {"embeddings", "models", "model_info"}
    if _RANKS in info.id.lower():
        return features & {_RANKS, "models", "model_info"}
    return features - {"embeddings", _RANKS}
