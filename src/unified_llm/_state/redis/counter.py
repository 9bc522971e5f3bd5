"""A number that several processes add to."""

from __future__ import annotations

from typing import cast

from unified_llm._state.redis.url import RedisURL


def add(url: RedisURL, name: str, number: int, ttl: int) -> int | None:
    """Add to the number of this name, and return it; None where Redis does not answer within 50 ms.

    Args:
        url: Where Redis is.
        name: The key.
        number: What is added.
        ttl: Seconds for which Redis keeps it.
    """
    try:
        with url.connect() as client, client.pipeline() as commands:
            commands.incrby(name, number)
            commands.expire(name, ttl)
            return cast("int", commands.execute()[0])
    except Exception:  # noqa: BLE001 - whatever the client raises: the caller counts by itself
        return None
