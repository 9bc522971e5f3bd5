"""The health updates of this process that were not sent yet."""

from __future__ import annotations

from itertools import chain, islice
from typing import Final

from unified_llm._lib.bounded_dict import BoundedDict
from unified_llm._policy.health_updates import HealthUpdate
from unified_llm._state.redis.records import STREAMS, stream_of

_MOST_UPDATES: Final = 4096


class Outbox:
    """The last unsent update about each target or key, bounded; those about breakers are sent first.

    Cooldowns have a bound of their own, so that thousands of refused keys neither displace nor delay a breaker.
    """

    def __init__(self) -> None:
        self._updates: dict[str, BoundedDict[str, tuple[HealthUpdate, float]]] = {
            stream: BoundedDict(_MOST_UPDATES) for stream in STREAMS
        }

    def put(self, name: str, update: HealthUpdate, since: float) -> None:
        """Add an update in place of the one with this name.

        Args:
            name: Its ``name_of``.
            update: The update.
            since: The instant at which it happened.
        """
        self._updates[stream_of(update)].put(name, (update, since))

    def first(self, count: int) -> list[tuple[HealthUpdate, float]]:
        """Return the updates to send first, with the instants at which they happened."""
        return list(islice(chain.from_iterable(updates.values() for updates in self._updates.values()), count))

    def remove(self, count: int) -> None:
        """Remove the updates that ``first`` returns."""
        for updates in self._updates.values():
            for name in list(islice(updates, count)):
                del updates[name]
                count -= 1

    def __len__(self) -> int:
        """Return the number of updates."""
        return sum(map(len, self._updates.values()))
