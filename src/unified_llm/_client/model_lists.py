"""Model lists: which ones a chain has, their pages, and how several become one. The client makes the requests."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from unified_llm._client import errors
from unified_llm._config.make_target import ResolvedTarget
from unified_llm._core import runtime
from unified_llm._core.cache_identity import cache_identity
from unified_llm._core.outcome import Failure
from unified_llm._core.target import RetryLimits, Target
from unified_llm._providers import models
from unified_llm._providers.output_types import output_types
from unified_llm.exceptions import LLMError, UnsupportedOperationError
from unified_llm.types.requests import ModelsRequest
from unified_llm.types.responses import ModelInfo

if TYPE_CHECKING:
    from unified_llm._state.model_list_cache import Models, Wanted

# Pages and models of one list; a server whose list never ends is broken.
_MOST_PAGES: Final = 100
_MOST_MODELS: Final = 100_000
# Seconds for the description of the loaded models, which servers have at hand.
_LOADED_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ModelListKey:
    """One model list: fallbacks with the same provider, address, account and headers share it.

    Attributes:
        target: The target whose provider is asked.
        ttl: Seconds that the list stays fresh.
    """

    target: Target
    ttl: float

    @property
    def cache_key(self) -> Hashable:
        """Provider, address, account and headers: a list of one account says nothing of another's models."""
        target = self.target
        key = (target.provider, target.base_url, cache_identity(target))
        return key if target.instance is None else (*key, target.instance.number)

    def wanted(self, *, use_cache: bool) -> Wanted:
        """Return what to ask of the cache. The folders of this machine are looked into each time."""
        from unified_llm._state.model_list_cache import Wanted

        ttl = 0.0 if self.target.format == "mlx" else self.ttl
        return Wanted(self.cache_key, ttl, runtime.current().now, use_cache)

    def serves(self, target: Target) -> bool:
        """Return whether the models of this list include that of a target, if it is listed at all."""
        return (self.target.provider, self.target.base_url) == (target.provider, target.base_url)


def model_list_keys(chain: Sequence[ResolvedTarget]) -> list[ModelListKey]:
    """Return the model lists of a chain, in its order, each once."""
    keys: dict[Hashable, ModelListKey] = {}
    for resolved in chain:
        # Without a model: the health of a model list and that of a model are apart.
        key = ModelListKey(replace(resolved.target, model=""), resolved.cache_ttl)
        keys.setdefault(key.cache_key, key)
    return list(keys.values())


def with_short_limits(target: Target) -> Target:
    """Return the target for a request that a model list can do without: one attempt of a few seconds."""
    timing = replace(target.timing, whole=_LOADED_SECONDS, fixed=True, of_call=True)
    return replace(target, retry=RetryLimits(limit=0), timing=timing)


class PageReader:
    """Reads one list page by page.

    Attributes:
        next: The request for the next page; None when the list is complete.

    Args:
        target: The target whose provider is asked.
    """

    def __init__(self, target: Target) -> None:
        self.next: ModelsRequest | None = ModelsRequest()
        self._target = target
        self._models: list[ModelInfo] = []
        self._read = 0

    @property
    def models(self) -> Models:
        """The models of all pages so far."""
        return tuple(self._models)

    def read(self, page: tuple[Models, str | None]) -> None:
        """Add a page, given with the cursor of the next.

        Raises:
            GenerationError: The list has more than 100,000 models.
        """
        listed, cursor = page
        self._models += listed
        if len(self._models) > _MOST_MODELS:
            detail = f"More than {_MOST_MODELS} models in one list."
            raise errors.from_failure(self._target, Failure("oversized", detail=detail))
        self._read += 1
        self.next = ModelsRequest(cursor) if cursor is not None and self._read < _MOST_PAGES else None

    def with_loaded(self, loaded: Models) -> Models:
        """Return the models, with what the server says of those that are loaded, and what the tables know of all.

        Args:
            loaded: Their descriptions; that of the only model of a server may have another name.
        """
        by_name = {info.id: info for info in loaded}
        only = loaded[0] if len(loaded) == len(self._models) == 1 else None
        described = ((info, by_name.get(info.id) or only) for info in self._models)
        return tuple(with_known_facts(_merge(info, other) if other else info) for info, other in described)


def _merge(info: ModelInfo, loaded: ModelInfo) -> ModelInfo:
    return replace(
        info,
        context_window=loaded.context_window or info.context_window,
        family=loaded.family or info.family,
        output_types=loaded.output_types or info.output_types,
    )


def with_known_facts(info: ModelInfo) -> ModelInfo:
    """Return the description of a model with what the tables know of it and its provider does not say.

    Not its context window: what a server says counts for its targets, and it may serve a model with a smaller one.
    """
    known = models.find(info.provider, info.id) if info.max_output is None else None
    makes = output_types(info.provider, info.id) if info.output_types is None else frozenset[str]()
    if not makes and (known is None or known.output is None):
        return info
    max_output = known.output if known else info.max_output
    return replace(info, max_output=max_output, output_types=makes or info.output_types)


class ModelListMerger:
    """Merges the lists of a chain; a failure counts only where no list came at all."""

    def __init__(self) -> None:
        self._models: list[ModelInfo] = []
        self._error: LLMError | None = None
        self._answered = False

    def add(self, models: Models) -> None:
        """Add the list of a provider."""
        self._answered = True
        self._models.extend(models)

    def failed(self, error: LLMError) -> None:
        """Remember the first error; a failure is more telling than a missing feature."""
        if self._error is None or isinstance(self._error, UnsupportedOperationError):
            self._error = error

    def result(self) -> list[ModelInfo]:
        """Return all models.

        Raises:
            LLMError: No provider answered.
        """
        if not self._answered and self._error:
            raise self._error
        return self._models


class ProviderCheck:
    """Check of whether a provider responds to a request for its model list.

    Attributes:
        key: Its list.
        models: The list, once there is one.
    """

    def __init__(self, key: ModelListKey) -> None:
        self.key = key
        self.models: Models | None = None
        self._error: LLMError | None = None
        self._seconds = 0.0

    @contextmanager
    def recording(self) -> Generator[None]:
        """Take the time of the request in this block, and keep its error."""
        now = runtime.current().now
        began = now()
        try:
            yield
        except LLMError as error:
            self._error = error
        finally:
            self._seconds = now() - began

    def row(self) -> dict[str, Any]:
        """Return the outcome as plain data."""
        return {
            "provider": self.key.target.provider,
            "base_url": self.key.target.base_url or None,
            "ok": self.models is not None,
            "models": None if self.models is None else len(self.models),
            "seconds": round(self._seconds, 3),
            "error": None if self._error is None else str(self._error),
        }
