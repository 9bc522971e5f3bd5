"""What all targets of a chain can do, for the model profile and the metadata of the frameworks.

What a target does natively or by emulation is decided for each target by the client. Here it only counts whether it can
be asked at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unified_llm._core.features import Feature
from unified_llm._core.target import Target
from unified_llm._state.learned_windows import window_of
from unified_llm._structured.methods import can_answer_in_json, can_be_made_to_call


@dataclass(frozen=True, slots=True)
class ChainFeatures:
    """Capabilities of a chain; they change with its settings only, never with an outage.

    Attributes:
        features: The features that every target has, or that are emulated where it has not.
        context_window: The smallest known context window in tokens, or None.
        unknown: The targets whose context windows are not known.
    """

    features: frozenset[Feature]
    context_window: int | None
    unknown: tuple[Target, ...] = ()


def chain_features(targets: Sequence[Target]) -> ChainFeatures:
    """Return the features that all targets of a chain have.

    Last resorts do not count, unless there are no other targets: they are skipped for requests that they cannot serve.
    """
    counted = [target for target in targets if not target.last_resort] or list(targets)
    by_target = [(target, window_of(target)) for target in counted]
    windows = [window for _, window in by_target if window]
    shared: frozenset[Feature] = (
        frozenset.intersection(*(_askable_features(target) for target in counted)) if counted else frozenset()
    )
    return ChainFeatures(
        shared, min(windows, default=None), tuple(target for target, window in by_target if not window)
    )


def _askable_features(target: Target) -> frozenset[Feature]:
    """Return the features that a target has, and those that the client emulates at it."""
    askable = set(target.features)
    if can_answer_in_json(target):
        askable.add("json_schema")
    if can_be_made_to_call(target):
        askable.add("tool_choice")
    return frozenset(askable)
