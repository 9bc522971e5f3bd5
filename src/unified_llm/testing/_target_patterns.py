"""Patterns for targets: by provider, by name, by address or host, or all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import Final

from unified_llm._core.redaction import quoted
from unified_llm._core.target import Target
from unified_llm._providers import models, registry
from unified_llm._providers.other_names import MEANT, key
from unified_llm.exceptions import ConfigurationError

ALL_TARGETS: Final = "*"
_WORDS_FOR_ALL: Final = frozenset({"all", "any", "every", "everything", "everyone"})
# How alike a misspelling and the name are, at least, and by how many letters they may differ in length. ``openai2``,
# ``groq-a`` and ``anthropic_llm`` are no misspellings, but names of the user's or of wrapped models.
_LIKENESS: Final = 0.75
_MOST_LETTERS: Final = 2


class TargetPatterns:
    """A set of targets, by patterns. Names are parsed like model strings.

    Args:
        patterns: A provider, a target, an address, a host, or ``*``; or several of them.

    Raises:
        ConfigurationError: There is none, one is no text, or one cannot be the name of a target.
    """

    def __init__(self, patterns: str | Iterable[str]) -> None:
        names = [patterns] if isinstance(patterns, str) or not isinstance(patterns, Iterable) else list(patterns)
        if not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise ConfigurationError(
                'Name the targets that fail: a provider ("openai"), a target ("openai/gpt-5-mini"), an address, or "*".'
            )
        # What the user wrote, and our name for it. A framework may have the former (``google_genai``) for its models.
        self._patterns: Mapping[str, str] = {name.strip(): _canonical(name.strip()) for name in names}

    def __contains__(self, target: Target) -> bool:
        """Match a target. ``*`` does not match a model in this process, which needs no network."""
        return any(_matches(*pattern, target) for pattern in self._patterns.items())

    def without_targets(self, targets: Iterable[Target]) -> list[str]:
        """Return the patterns that match none of these targets, as the user wrote them."""
        known = list(targets)
        patterns = self._patterns.items()
        return [pattern[0] for pattern in patterns if not any(_matches(*pattern, target) for target in known)]

    def __repr__(self) -> str:
        """List the patterns."""
        return ", ".join(sorted(set(self._patterns.values())))


def _matches(written: str, pattern: str, target: Target) -> bool:
    if pattern == ALL_TARGETS:
        return target.format != "mlx"
    if "://" in pattern:
        return target.base_url == pattern or target.base_url.startswith(pattern + "/")
    model_string = f"{target.provider}/{target.model}"
    host = target.origin.partition("://")[2]
    names = {target.provider, target.name, target.own_name, model_string, host, host.rpartition(":")[0]}
    return pattern in names or written in names


def _canonical(name: str) -> str:
    """Replace ``hf`` by ``huggingface``, and ``openai:gpt-5-mini`` by ``openai/gpt-5-mini``; keep other names.

    Raises:
        ConfigurationError: No target can have that name.
    """
    if name == ALL_TARGETS:
        return name
    if "://" in name:
        return name.rstrip("/")
    if spec := registry.find(name):
        return spec.name
    parsed = registry.parse_model_string(name)
    if parsed is None:
        if suggestion := _suggest(name):
            raise ConfigurationError(f"outage() knows no target {quoted(name)}: did you mean {quoted(suggestion)}?")
        return name
    if ALL_TARGETS in parsed[1]:
        raise ConfigurationError(
            f"outage() takes no wildcard in {quoted(name)}: {quoted(parsed[0])} matches every model of the provider."
        )
    return "/".join(parsed)


def _suggest(name: str) -> str | None:
    """Return what is meant by a name that begins with no provider; None where it may be that of a target.

    The user gives names (``name="west"``), and frameworks have other ones for the models that they wrap.
    """
    if name.lower() in _WORDS_FOR_ALL:
        return ALL_TARGETS
    if not {"/", ":"} & set(name) and (maker := models.maker(name)):
        return f"{maker}/{name}"
    start = min(position for position in (name.find("/"), name.find(":"), len(name)) if position >= 0)
    provider = name[:start].lower()
    if meant := MEANT.get(key(provider)):
        return meant + name[start:]
    near = registry.suggest(provider)
    if near is None or abs(len(near) - len(provider)) > _MOST_LETTERS:
        return None
    if provider.startswith(near) and not provider[len(near) :].isalpha():
        return None
    return near + name[start:] if SequenceMatcher(None, provider, near).ratio() >= _LIKENESS else None
