"""The few Redis commands that shared state needs. Errors are raised; ``sync`` handles them.

Health updates are entries of two streams, one for breakers and one for cooldowns, so that no number of cooldowns can
displace a breaker. A poll reads what was added since the poll before, whatever else is stored. The streams are trimmed
and expire. A model list is a key of its own that expires by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from unified_llm._state.redis.records import LONGEST, LONGEST_LIST, LONGEST_UPDATE, PREFIX, STREAMS, Record

if TYPE_CHECKING:
    import redis

# The most entries that a stream keeps, and that one poll reads from it or writes to both.
MOST_ENTRIES: Final = 4096
BATCH: Final = 500
# Seconds after the last entry; longer than any update holds.
_STREAM_TTL: Final = 7200
_FIELD: Final = b"update"
# Seconds after the last exchange about a limit.
_USAGE_TTL: Final = 180
# Bytes that no stream of ours can take up.
_OVERSIZED: Final = 2 * MOST_ENTRIES * LONGEST_UPDATE
# Milliseconds by which the identifier of an entry, which is an instant, may be ahead of the server's clock.
_CLOCK_STEP: Final = 60_000
# Errors for a key that holds another type, and for a stream that accepts no entry after the last possible identifier.
_WRONG_TYPE: Final = "WRONGTYPE"
_UNUSABLE: Final = (_WRONG_TYPE, "last possible ID", "equal or smaller")


@dataclass(slots=True)
class News:
    """What a poll reads.

    Attributes:
        now: The time of the server, in seconds.
        values: The JSON of the new entries, those about breakers first.
        more: Whether there are more new entries than one poll reads.
        replaced: The keys that were removed, since no stream of ours could be like that.
    """

    now: float
    values: list[bytes] = field(default_factory=list)
    more: bool = False
    replaced: list[str] = field(default_factory=list)


class Store:
    """The records in Redis. Used by one thread.

    Args:
        client: A Redis client with the URL and the timeouts; it does not decode responses.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        # The least identifier of an entry that was not read yet: milliseconds, and a number within them.
        self._unread: dict[str, tuple[int, int]] = dict.fromkeys(STREAMS, (0, 0))
        self._read_failed = False

    def read(self) -> News:
        """Read the entries that were added since the last time, the oldest ones first; at first, those of an hour.

        After a failure, which may be a timeout due to their size, streams that are too large to be ours are removed.
        """
        replaced = self._remove_oversized() if self._read_failed else []
        self._read_failed = True
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        for stream, (milliseconds, number) in self._unread.items():
            pipe.xrange(_key(stream), f"{milliseconds}-{number}", count=BATCH + 1)
        time, *answers = pipe.execute(raise_on_error=False)
        _raise_first([time])
        news = News(now=time[0] + time[1] / 1e6, replaced=replaced)
        for stream, entries in zip(STREAMS, answers, strict=True):
            if _is_error(entries, _WRONG_TYPE):
                continue  # the next update that is written replaces it
            _raise_first([entries])
            self._take(stream, entries, news)
        self._read_failed = False
        return news

    def _remove_oversized(self) -> list[str]:
        pipe = self._client.pipeline(transaction=False)
        for stream in STREAMS:
            pipe.memory_usage(_key(stream), samples=0)  # of all entries
        sizes = zip(map(_key, STREAMS), pipe.execute(raise_on_error=False), strict=True)
        keys = [key for key, size in sizes if isinstance(size, int) and size > _OVERSIZED]
        if keys:
            self._client.unlink(*keys)
        return keys

    def _take(self, stream: str, entries: Sequence[tuple[bytes, Any]], news: News) -> None:
        now = int(news.now * 1000)
        news.more |= len(entries) > BATCH
        for identifier, fields in entries[:BATCH]:
            milliseconds, number = identifier.split(b"-")
            self._unread[stream] = (int(milliseconds), int(number) + 1)
            value = fields.get(_FIELD) if isinstance(fields, dict) else None
            if value is not None and len(value) <= LONGEST_UPDATE:
                news.values.append(value)
        if self._unread[stream][0] > now + _CLOCK_STEP:
            # The clock of the server was set back, or somebody chose this identifier: new entries may never follow it.
            self._unread[stream] = (now, 0)
            if entries:
                self._client.unlink(_key(stream))
                news.replaced.append(_key(stream))
        # What is older is over. Entries that somebody else put there in thousands are not read either.
        self._unread[stream] = max(self._unread[stream], (now - int(LONGEST * 1000), 0))

    def write(self, outgoing: Mapping[str, Sequence[str]]) -> list[str]:
        """Append JSON values to streams; return the keys that were replaced, since they were no streams of ours."""
        errors = self._append(outgoing)
        replaced = [stream for stream, error in errors.items() if _is_error(error, *_UNUSABLE)]
        if replaced:
            self._client.unlink(*map(_key, replaced))
            errors |= dict.fromkeys(replaced) | self._append({stream: outgoing[stream] for stream in replaced})
        _raise_first(errors.values())
        return [_key(stream) for stream in replaced]

    def _append(self, outgoing: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return the first error for every stream that has one."""
        pipe = self._client.pipeline(transaction=False)
        streams: list[str] = []
        for stream, values in outgoing.items():
            for value in values:
                pipe.xadd(_key(stream), {_FIELD: value})
            # Exactly: an approximate one removes little at a time of what somebody else has put there.
            pipe.xtrim(_key(stream), maxlen=MOST_ENTRIES, approximate=False)
            pipe.expire(_key(stream), _STREAM_TTL)
            streams += [stream] * (len(pipe) - len(streams))
        errors: dict[str, Any] = {}
        for stream, answer in zip(streams, pipe.execute(raise_on_error=False), strict=True):
            if isinstance(answer, Exception):
                errors.setdefault(stream, answer)
        return errors

    def get(self, key: str) -> Record | None:
        """Read one record."""
        pipe = self._client.pipeline()
        pipe.getrange(key, 0, LONGEST_LIST - 1)
        pipe.pttl(key)
        value, ttl = pipe.execute(raise_on_error=False)
        if not isinstance(value, bytes) or not value or not isinstance(ttl, int) or ttl <= 0:
            return None  # nothing, a value of another type, or one that never expires
        return Record(key, value, ttl / 1000)

    def put(self, record: Record) -> None:
        """Write one record."""
        self._client.set(record.key, record.value, px=max(1, round(record.seconds * 1000)))

    def exchange_usages(self, mine: Mapping[str, tuple[str, str]]) -> dict[str, dict[bytes, bytes]]:
        """Write what this process has used of limits, by key; return that of all processes, by name.

        Args:
            mine: The name of this process and its value, by the key of the limit.
        """
        pipe = self._client.pipeline(transaction=False)
        for key, (name, value) in mine.items():
            pipe.hset(key, name, value)
            pipe.expire(key, _USAGE_TTL)
            pipe.hgetall(key)
        answers = pipe.execute(raise_on_error=False)[2::3]
        wrong = [key for key, answer in zip(mine, answers, strict=True) if _is_error(answer, _WRONG_TYPE)]
        if wrong:  # not ours: the next exchange creates it again
            self._client.unlink(*wrong)
        _raise_first(answer for key, answer in zip(mine, answers, strict=True) if key not in wrong)
        return {key: answer for key, answer in zip(mine, answers, strict=True) if isinstance(answer, dict)}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _key(stream: str) -> str:
    return f"{PREFIX}{stream}"


def _is_error(answer: Any, *texts: str) -> bool:
    return isinstance(answer, Exception) and any(text in str(answer) for text in texts)


def _raise_first(answers: Any) -> None:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
