"""Prefix cache: key-value caches of earlier prompts, so that what a new one has in common with them is not read again.

Only the engine thread may use this module. An entry is the state of the network after a sequence of tokens. A prompt
takes the entry that has most of its beginning, at most all tokens but the last, which has to be read for the first
token of the response::

    entry     system | question 1 | response 1
    prompt    system | question 1 | response 1 | question 2      all of the entry
    prompt    system | another question                          the entry, trimmed to `system`

A cache that cannot be trimmed (a sliding window that is full, the state of a recurrent network) serves only prompts
that begin with all of its tokens.

mlx-lm's ``LRUPromptCache`` is not used: an entry that is taken is not moved to the end of its queue, so that a system
prompt in constant use is evicted as if it were not; its search takes time that grows with the square of an entry's
length; and its answer for a prompt that equals an entry leaves no token to read.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, cast

MIN_PREFIX: Final = 16
"""The fewest tokens that are worth an entry: reading so few again takes no longer than copying them."""
_MAX_ENTRIES: Final = 64
_COMPARED: Final = 512  # tokens that are compared at once


class LayerCache(Protocol):
    """The part of mlx-lm's caches that is used here: the state of one layer."""

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        ...

    @property
    def state(self) -> Any:
        """Its arrays, and other values."""
        ...

    def is_trimmable(self) -> bool:
        """Return whether tokens can be taken off its end."""
        ...

    def trim(self, n: int, /) -> int:
        """Take tokens off its end."""
        ...


Caches: TypeAlias = "list[LayerCache]"
"""The state of a network: one cache for each layer, those of a draft model last."""


@dataclass(slots=True, eq=False)
class _Entry:
    kind: Hashable
    tokens: list[int] = field(repr=False)
    caches: Caches = field(repr=False)
    trimmable: bool
    nbytes: int

    def usable_length(self, kind: Hashable, tokens: Sequence[int]) -> int:
        """Return how many tokens of a prompt this entry saves."""
        if kind != self.kind:
            return 0
        common = min(common_prefix(self.tokens, tokens), len(tokens) - 1)
        return common if self.trimmable or common == len(self.tokens) else 0


class PrefixCache:
    """The entries of one engine, so of one model with one adapter; the least recently used are dropped first.

    Args:
        max_bytes: The most bytes that all entries take together, with the caches beside them.
        max_entries: The most entries.
    """

    def __init__(self, max_bytes: int, max_entries: int = _MAX_ENTRIES) -> None:
        self.max_bytes = max_bytes
        self._max_entries = max_entries
        self._beside = 0  # bytes of the caches that are kept elsewhere
        self._entries: list[_Entry] = []  # the most recently used last

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """The bytes that the entries take, and the caches beside them."""
        return sum(entry.nbytes for entry in self._entries) + self._beside

    def usable_length(self, kind: Hashable, tokens: Sequence[int]) -> int:
        """Return how many tokens of a prompt ``take`` would save."""
        length = max((entry.usable_length(kind, tokens) for entry in self._entries), default=0)
        return length if length >= MIN_PREFIX else 0

    def take(self, kind: Hashable, tokens: Sequence[int]) -> tuple[Caches, int] | None:
        """Return a copy of the state after the longest known prefix of a prompt, and its length; None if there is none.

        Args:
            kind: What the caches are of: entries of another kind do not fit.
            tokens: The whole prompt.
        """
        length, index = max(
            ((entry.usable_length(kind, tokens), index) for index, entry in enumerate(self._entries)), default=(0, 0)
        )
        if length < MIN_PREFIX:
            return None
        entry = self._entries.pop(index)
        self._entries.append(entry)
        caches = copy.deepcopy(entry.caches)  # arrays are shared until one of them is written to
        if length < len(entry.tokens):
            for cache in caches:
                cache.trim(len(entry.tokens) - length)
        return caches, length

    def put(self, kind: Hashable, tokens: list[int], caches: Caches) -> None:
        """Keep the state after a sequence of tokens. Neither list may be changed afterwards."""
        nbytes = sum(cache.nbytes for cache in caches)
        if len(tokens) < MIN_PREFIX or nbytes + self._beside > self.max_bytes:
            return
        new = _Entry(kind, tokens, caches, all(cache.is_trimmable() for cache in caches), nbytes)
        for index, entry in enumerate(self._entries):
            if entry.kind == kind and _covers(entry, new):
                self._entries.append(self._entries.pop(index))
                return
        self._entries = [entry for entry in self._entries if entry.kind != kind or not _covers(new, entry)]
        self._entries.append(new)
        self.shrink()

    def leave_room(self, nbytes: int) -> None:
        """Let other caches of the model have so many of the bytes: those of a request with images (``vision``)."""
        self._beside = nbytes
        self.shrink()

    def clear(self) -> None:
        """Drop all entries."""
        self._entries.clear()

    def shrink(self, max_bytes: int | None = None) -> None:
        """Drop entries until the rest is within the bounds.

        Args:
            max_bytes: A new bound, which holds from now on; None for the one that holds.
        """
        self.max_bytes = self.max_bytes if max_bytes is None else max_bytes
        nbytes = self.nbytes
        while self._entries and (nbytes > self.max_bytes or len(self._entries) > self._max_entries):
            nbytes -= self._entries.pop(0).nbytes


def always_trims(caches: Sequence[object]) -> bool:
    """Return whether tokens can be taken off the end of a model's caches, however many they hold."""
    return all(
        always_trims(cache.caches)  # pyright: ignore[reportUnknownMemberType]
        if hasattr(cache, "caches")
        else cache.is_trimmable() and not hasattr(cache, "max_size")
        for cache in cast("Any", caches)
    )


def can_merge(caches: Sequence[object]) -> bool:
    """Return whether a model's caches can be merged into those of a batch, as mlx-lm's generator requires."""
    return all(hasattr(cache, "merge") and can_merge(getattr(cache, "caches", ())) for cache in caches)


def _covers(longer: _Entry, shorter: _Entry) -> bool:
    """Return whether an entry saves as much as another does, for any prompt."""
    length = len(shorter.tokens)
    same = longer.tokens[:length] == shorter.tokens
    return same and (longer.trimmable or len(longer.tokens) == length)


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two sequences have in common at their beginnings."""
    shorter = min(len(first), len(second))
    start = 0
    while start < shorter and first[start : start + _COMPARED] == second[start : start + _COMPARED]:
        start += _COMPARED
    end = min(start + _COMPARED, shorter)
    return next((place for place in range(start, end) if first[place] != second[place]), max(end, 0))
