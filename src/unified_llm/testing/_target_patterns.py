"""Which targets a test speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from unified_llm._core.target import Target
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError

EVERYTHING: Final = "*"


class TargetPatterns:
    """A set of targets, by name.

    Args:
        names: A provider, a target, an address, or ``*``; or several of them.

    Raises:
        ConfigurationError: There is none, or one that is no text.
    """

    def __init__(self, names: str | Iterable[str]) -> None:
        """Read every name as model strings are read."""
        given = [names] if isinstance(names, str) else list(names)
        if not given or not all(isinstance(name, str) and name.strip() for name in given):
            raise ConfigurationError(
                'Say which targets fail: a provider ("openai"), a target ("openai/gpt-5-mini"), an address, or "*".'
            )
        self._names = {_canonical(name.strip()) for name in given}

    def __contains__(self, target: Target) -> bool:
        """Whether the target is meant. No network takes a model in this process away: ``*`` does not mean it."""
        return (
            not self._names.isdisjoint({target.provider, target.name})
            or (EVERYTHING in self._names and target.format != "mlx")
            or any(_within(target.base_url, name) for name in self._names if "://" in name)
        )

    def __repr__(self) -> str:
        """The names."""
        return ", ".join(sorted(self._names))


def _canonical(name: str) -> str:
    """``hf`` is ``huggingface``, and ``openai:gpt-5-mini`` is ``openai/gpt-5-mini``; others are left as they are."""
    if "://" in name:
        return name.rstrip("/")
    found = registry.parse_model_string(name)
    return "/".join(found) if found else registry.ALIASES.get(name.lower(), name)


def _within(address: str, given: str) -> bool:
    return address == given or address.startswith(given + "/")
