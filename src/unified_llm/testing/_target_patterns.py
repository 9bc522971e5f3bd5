"""Patterns for targets: by provider, by name, by address, or all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from unified_llm._core.target import Target
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError

ALL_TARGETS: Final = "*"


class TargetPatterns:
    """A set of targets, by patterns. Names are parsed like model strings.

    Args:
        patterns: A provider, a target, an address, or ``*``; or several of them.

    Raises:
        ConfigurationError: There is none, or one that is no text.
    """

    def __init__(self, patterns: str | Iterable[str]) -> None:
        names = [patterns] if isinstance(patterns, str) else list(patterns)
        if not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise ConfigurationError(
                'Name the targets that fail: a provider ("openai"), a target ("openai/gpt-5-mini"), an address, or "*".'
            )
        self._names = {_canonical(name.strip()) for name in names}

    def __contains__(self, target: Target) -> bool:
        """Match a target. ``*`` does not match a model in this process, which needs no network."""
        return (
            not self._names.isdisjoint({target.provider, target.name})
            or (ALL_TARGETS in self._names and target.format != "mlx")
            or any(_is_below(target.base_url, name) for name in self._names if "://" in name)
        )

    def __repr__(self) -> str:
        """List the names."""
        return ", ".join(sorted(self._names))


def _canonical(name: str) -> str:
    """Replace ``hf`` by ``huggingface``, and ``openai:gpt-5-mini`` by ``openai/gpt-5-mini``; keep other names."""
    if "://" in name:
        return name.rstrip("/")
    parsed = registry.parse_model_string(name)
    return "/".join(parsed) if parsed else registry.ALIASES.get(name.lower(), name)


def _is_below(address: str, prefix: str) -> bool:
    return address == prefix or address.startswith(prefix + "/")
