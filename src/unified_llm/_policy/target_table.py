"""The targets of the registry, within a bound: users can make up model names without end.

Closed targets are dropped first, the least recently used one before others; open breakers are kept while their cooldown
runs. But a quarter of the table belongs to closed targets, so that a flood of dead ones leaves the others their health.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Final

from unified_llm._lib.expiring_dict import ExpiringDict
from unified_llm._policy.target_health import TargetHealth

MAX_TARGETS: Final = 4096
_MAX_OPEN: Final = MAX_TARGETS * 3 // 4


class TargetTable:
    """The health of targets by their ``health_key``. Its owner holds the lock."""

    def __init__(self) -> None:
        self._closed: OrderedDict[Hashable, TargetHealth] = OrderedDict()
        self._open: ExpiringDict[Hashable, TargetHealth] = ExpiringDict(_MAX_OPEN)

    def get(self, key: Hashable) -> TargetHealth | None:
        """Return the health of a target, or None."""
        return self._closed.get(key) or self._open.get(key)

    def use(self, key: Hashable, name: str) -> TargetHealth:
        """Return the health of a target, which is the most recently used one from now on; create it if needed."""
        health = self._closed.get(key)
        if health is not None:
            self._closed.move_to_end(key)
            return health
        health = self._open.get(key)
        if health is None:
            health = self._closed[key] = TargetHealth(name)
            self._drop_closed()
        return health

    def sort(self, key: Hashable, health: TargetHealth) -> None:
        """Move a target to where it belongs, after one of its breakers opened or closed."""
        until = health.open_until
        if until is not None:
            self._closed.pop(key, None)
            self._open.put(key, health, until)
        elif self._open.pop(key) is not None:
            self._closed[key] = health
        self._drop_closed()

    def items(self) -> Iterator[tuple[Hashable, TargetHealth]]:
        """Iterate over all targets, open ones first."""
        yield from self._open.items()
        yield from self._closed.items()

    def clear(self) -> None:
        """Remove all."""
        self._closed.clear()
        self._open.clear()

    def _drop_closed(self) -> None:
        while len(self._closed) + len(self._open) > MAX_TARGETS:
            self._closed.popitem(last=False)
