"""Features that all targets of a chain have, for the model profile and the metadata of the frameworks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unified_llm._core.features import Feature
from unified_llm._core.target import Target


@dataclass(frozen=True, slots=True)
class ChainFeatures:
    """Capabilities of a chain; they change with its settings only, never with an outage.

    Attributes:
        features: The features that every target has.
        context_window: The smallest known context window in tokens, or None.
    """

    features: frozenset[Feature]
    context_window: int | None


def chain_features(targets: Sequence[Target]) -> ChainFeatures:
    """Return the features that all targets of a chain have.

    Last resorts do not count, unless there are no other targets: they are skipped for requests that they cannot serve.
    """
    counted = [target for target in targets if not target.last_resort] or list(targets)
    windows = [target.context_window for target in counted if target.context_window]
    shared: frozenset[Feature] = (
        frozenset.intersection(*(target.features for target in counted)) if counted else frozenset()
    )
    return ChainFeatures(shared, min(windows, default=None))
