"""Which model lists a chain has, and how they are put together. Asking for them is the client's."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from unified_llm import settings
from unified_llm.config import LLMConfig
from unified_llm.discovery import Models
from unified_llm.exceptions import LLMError, UnsupportedOperationError
from unified_llm.resolve import Resolved
from unified_llm.target import Target
from unified_llm.types import ModelInfo, ModelsRequest

# A list that never ends is a fault of the server.
_MOST_PAGES: Final = 100


@dataclass(frozen=True, slots=True)
class Place:
    """One model list: fallbacks at the same provider, address and key share it.

    Attributes:
        target: Whom to ask.
        ttl: Seconds that the list stays fresh.
    """

    target: Target
    ttl: float

    @property
    def key(self) -> Hashable:
        """What the list is kept under."""
        target = self.target
        return (target.provider, target.base_url, target.key.fingerprint if target.key else None)


def places(chain: Sequence[Resolved]) -> list[Place]:
    """The model lists of a chain, in its order."""
    found: dict[Hashable, Place] = {}
    for resolved in chain:
        # Without a model: a list that is broken says nothing of the health of a model, nor the other way round.
        place = Place(replace(resolved.target, model=""), _ttl(resolved.config))
        found.setdefault(place.key, place)
    return list(found.values())


def _ttl(config: LLMConfig | None) -> float:
    if config is not None and "cache_ttl" in config.model_fields_set:
        return config.cache_ttl
    ttl: float | None = settings.default("cache_ttl")
    return LLMConfig().cache_ttl if ttl is None else ttl


class Pages:
    """Reads one list page by page.

    Attributes:
        next: What to ask next; None when the list is complete.
        models: What has come so far.
    """

    def __init__(self) -> None:
        """Nothing has been asked yet."""
        self.next: ModelsRequest | None = ModelsRequest()
        self.models: Models = ()
        self._read = 0

    def read(self, page: tuple[Models, str | None]) -> None:
        """Take in a page and the cursor of the next."""
        models, cursor = page
        self.models += models
        self._read += 1
        self.next = ModelsRequest(cursor) if cursor is not None and self._read < _MOST_PAGES else None


class Gathered:
    """Lists as they come in; a failure counts only where nothing came at all."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._models: list[ModelInfo] = []
        self._problem: LLMError | None = None
        self._answered = False

    def add(self, models: Models) -> None:
        """A provider answered."""
        self._answered = True
        self._models.extend(models)

    def missed(self, problem: LLMError) -> None:
        """A provider did not; a failure says more than a missing feature."""
        if self._problem is None or isinstance(self._problem, UnsupportedOperationError):
            self._problem = problem

    def result(self) -> list[ModelInfo]:
        """All models.

        Raises:
            LLMError: No provider answered.
        """
        if not self._answered and self._problem:
            raise self._problem
        return self._models
