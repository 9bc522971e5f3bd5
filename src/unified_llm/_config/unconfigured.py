"""Targets that cannot be used as they are configured, and the one error that lists what all of them lack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unified_llm.exceptions import UnconfiguredError


@dataclass(frozen=True, slots=True)
class UnconfiguredTarget:
    """A target that lacks something. ``str()`` is one line without a period.

    Attributes:
        name: What messages call it.
        lacks: What is missing, each with what to do.
        impossible: This platform cannot run it at all, so the chain goes on without it.
    """

    name: str
    lacks: tuple[str, ...]
    impossible: bool = False

    def __str__(self) -> str:
        """Name the target and what it lacks."""
        return f"{self.name}: {self.reason}"

    @property
    def reason(self) -> str:
        """What it lacks."""
        return "; ".join(self.lacks)


def error_of_call(target: UnconfiguredTarget) -> UnconfiguredError:
    """Make the error for a model that a call names, which is never skipped."""
    return UnconfiguredError(f"{target.name}, which the call names, is not configured: {target.reason}.")


def error_of_chain(unconfigured: Sequence[UnconfiguredTarget], targets: int, *, skipped: bool) -> UnconfiguredError:
    """Make the error that lists everything that is missing.

    Args:
        unconfigured: The targets that lack something.
        targets: How many targets the chain has.
        skipped: Such targets are skipped, and no other is left.
    """
    lines = list(dict.fromkeys(map(str, unconfigured)))  # the same target may be in the chain twice
    if skipped:
        begins, advice = "No target is left", "Configure one of them, or add a target that needs no configuration."
    else:
        begins = f"{len(unconfigured)} of {targets} targets are not configured"
        advice = "In a chain with another target, skip_unconfigured=True skips those that are not configured."
    if len(lines) > 1:
        return UnconfiguredError("\n".join([f"{begins}:", *(f"  {line}" for line in lines), advice]))
    if skipped:
        return UnconfiguredError(f"{begins}: {lines[0]}.")
    return UnconfiguredError(f"{unconfigured[0].name} is not configured: {unconfigured[0].reason}. {advice}")
