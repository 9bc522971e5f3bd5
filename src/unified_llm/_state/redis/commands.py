"""The few commands of Redis that shared state needs. Whatever goes wrong is raised; ``sync`` decides what follows.

Each record is a key of its own that expires by itself. An index says which keys there are, since nobody may scan a
database that others use as well; its scores are the instants of expiry, by the clock of the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from unified_llm._state.redis.records import LONGEST_FACT, LONGEST_LIST, PREFIX, Record

if TYPE_CHECKING:
    import redis

_INDEX: Final = f"{PREFIX}index"
_INDEX_STAYS: Final = 7200  # seconds after the last record, which is longer than any record stays
# The most facts that are read at once.
_MOST: Final = 1000


class Store:
    """Redis, as far as it is needed here. Used by one thread.

    Args:
        client: Knows where, and how long to wait.
    """

    def __init__(self, client: redis.Redis) -> None:
        """Nothing is sent yet."""
        self._client = client

    def swap(self, told: Sequence[Record]) -> list[Record]:
        """Write these facts, and read all that are there, those included."""
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        pipe.zrange(_INDEX, 0, _MOST - 1, desc=True, withscores=True)
        (seconds, microseconds), index = pipe.execute()
        now = seconds * 1000 + microseconds // 1000
        names = {name: None for name, until in _named(index) if until > now} | {each.key: None for each in told}
        if not names:
            return []
        pipe = self._client.pipeline()
        for each in told:
            pipe.set(each.key, each.value, px=_milliseconds(each.seconds))
            pipe.zadd(_INDEX, {each.key: now + _milliseconds(each.seconds)})
        if told:
            pipe.zremrangebyscore(_INDEX, "-inf", now)
            pipe.expire(_INDEX, _INDEX_STAYS)
        written = len(pipe)
        for name in names:
            pipe.getrange(name, 0, LONGEST_FACT - 1)
            pipe.pttl(name)
        answers = pipe.execute(raise_on_error=False)
        for answer in answers[:written]:
            if isinstance(answer, Exception):
                raise answer
        values, rests = answers[written::2], answers[written + 1 :: 2]
        found = (_record(name, value, rest) for name, value, rest in zip(names, values, rests, strict=True))
        return [record for record in found if record is not None]

    def get(self, key: str) -> Record | None:
        """One record."""
        pipe = self._client.pipeline()
        pipe.getrange(key, 0, LONGEST_LIST - 1)
        pipe.pttl(key)
        value, rest = pipe.execute(raise_on_error=False)
        return _record(key, value, rest)

    def put(self, record: Record) -> None:
        """Write one record, which is no fact."""
        self._client.set(record.key, record.value, px=_milliseconds(record.seconds))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _named(index: Any) -> list[tuple[str, float]]:
    texts = [(name if isinstance(name, str) else name.decode("ascii", "replace"), until) for name, until in index]
    return [(name, until) for name, until in texts if name.startswith(PREFIX)]


def _record(key: str, value: Any, rest: Any) -> Record | None:
    """None where there is nothing, something of another type, or something that would stay for ever."""
    if not isinstance(value, (str, bytes)) or not value or not isinstance(rest, int) or rest <= 0:
        return None
    return Record(key, value, rest / 1000)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
