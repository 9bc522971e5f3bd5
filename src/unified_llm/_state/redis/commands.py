"""The few Redis commands that shared state needs. Errors are raised; ``sync`` handles them.

Each record is a key of its own that expires by itself. An index lists the keys, since scanning a database that others
use as well is slow; its scores are the instants of expiry, by the clock of the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from unified_llm._state.redis.records import LONGEST_LIST, LONGEST_UPDATE, PREFIX, Record

if TYPE_CHECKING:
    import redis

_INDEX: Final = f"{PREFIX}index"
_INDEX_TTL: Final = 7200  # seconds after the last record; longer than any record lives
# The most updates that are read at once.
_MOST: Final = 1000


class Store:
    """The records in Redis. Used by one thread.

    Args:
        client: A Redis client with the URL and the timeouts.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def swap(self, outgoing: Sequence[Record]) -> list[Record]:
        """Write these records, and read all that are there, those included."""
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        pipe.zrange(_INDEX, 0, _MOST - 1, desc=True, withscores=True)
        (seconds, microseconds), index = pipe.execute()
        now = seconds * 1000 + microseconds // 1000
        names = {name: None for name, until in _named(index) if until > now} | {record.key: None for record in outgoing}
        if not names:
            return []
        pipe = self._client.pipeline()
        for record in outgoing:
            pipe.set(record.key, record.value, px=_milliseconds(record.seconds))
            pipe.zadd(_INDEX, {record.key: now + _milliseconds(record.seconds)})
        if outgoing:
            pipe.zremrangebyscore(_INDEX, "-inf", now)
            pipe.expire(_INDEX, _INDEX_TTL)
        written = len(pipe)
        for name in names:
            pipe.getrange(name, 0, LONGEST_UPDATE - 1)
            pipe.pttl(name)
        answers = pipe.execute(raise_on_error=False)
        for answer in answers[:written]:
            if isinstance(answer, Exception):
                raise answer
        values, ttls = answers[written::2], answers[written + 1 :: 2]
        records = (_record(name, value, ttl) for name, value, ttl in zip(names, values, ttls, strict=True))
        return [record for record in records if record is not None]

    def get(self, key: str) -> Record | None:
        """Read one record."""
        pipe = self._client.pipeline()
        pipe.getrange(key, 0, LONGEST_LIST - 1)
        pipe.pttl(key)
        value, ttl = pipe.execute(raise_on_error=False)
        return _record(key, value, ttl)

    def put(self, record: Record) -> None:
        """Write one record that is not in the index: a model list."""
        self._client.set(record.key, record.value, px=_milliseconds(record.seconds))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _named(index: Any) -> list[tuple[str, float]]:
    texts = [(name if isinstance(name, str) else name.decode("ascii", "replace"), until) for name, until in index]
    return [(name, until) for name, until in texts if name.startswith(PREFIX)]


def _record(key: str, value: Any, ttl: Any) -> Record | None:
    """Return the record; None where there is nothing, a value of another type, or one that never expires."""
    if not isinstance(value, (str, bytes)) or not value or not isinstance(ttl, int) or ttl <= 0:
        return None
    return Record(key, value, ttl / 1000)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
