"""The URL of the shared state, which often holds a password and is therefore hidden in every repr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from unified_llm._state.redis import available
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    import redis

# Seconds that one exchange with Redis may take, unless the URL sets another limit.
REDIS_TIMEOUT: Final = 0.05


class RedisURL:
    """A Redis URL that was checked: ``redis://``, ``rediss://`` (TLS) or ``unix://``.

    Args:
        url: Password, database and options as the Redis client reads them (``?socket_timeout=0.2``).
        source: Where it came from, for messages.

    Raises:
        ConfigurationError: It is no such URL, or the client is not installed. The message does not repeat the URL.
    """

    __slots__ = ("_url",)

    def __init__(self, url: object, source: str) -> None:
        problem = _problem_with(url, source)
        if problem:
            del url  # the traceback may be printed with its variables
            raise ConfigurationError(problem)
        self._url = str(url)

    def connect(self) -> redis.Redis:
        """Make a client; it connects when it is first used."""
        return _client(self._url)

    def __repr__(self) -> str:
        """Hide the URL."""
        return "RedisURL('***')"

    def __eq__(self, other: object) -> bool:
        """Compare the URLs."""
        return isinstance(other, RedisURL) and other._url == self._url

    def __hash__(self) -> int:
        """Hash the URL."""
        return hash(self._url)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("The address of the shared state is never pickled; configure() it where it is used.")


def _problem_with(url: object, source: str) -> str | None:
    if not isinstance(url, str) or not url.startswith(("redis://", "rediss://", "unix://")):
        return f"The value from {source} must be a URL that begins with redis://, rediss:// or unix://."
    missing = available()
    if missing:
        return missing
    try:
        # Made to find an unknown option here rather than in the background thread.
        _client(url).connection_pool.make_connection()
    except Exception as problem:  # noqa: BLE001 - whatever the client raises; its message repeats the URL
        return (
            f"The URL from {source} is not one that the client of Redis understands ({type(problem).__name__}): write "
            "redis://[user:password@]host[:port][/database], with special characters of a password percent-encoded."
        )
    return None


def _client(url: str) -> redis.Redis:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # Without a retry, which would wait: the next poll comes by itself.
    limits: dict[str, Any] = {
        "socket_timeout": REDIS_TIMEOUT,
        "socket_connect_timeout": REDIS_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
    }
    client = redis.Redis.from_url(url, **limits)
    # Whatever the URL says: text that somebody else has stored need not be UTF-8, and would end every poll.
    client.connection_pool.connection_kwargs["decode_responses"] = False
    return client
