"""Exchange of what processes have used of shared rate limits, and the leases that follow from it.

A hash for each limit has a field for each process: the time of the server, its demand, and the requests and tokens that
count. One pipeline a second, however many calls are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from unified_llm._lib import bounded_json
from unified_llm._policy.limit_leases import Usage, lease_of
from unified_llm._policy.rate_limits import RateLimits
from unified_llm._policy.rate_window import WINDOW
from unified_llm._state.model_list_records import digest
from unified_llm._state.redis.commands import Store
from unified_llm._state.redis.records import PREFIX, Clock

_VERSION: Final = 1
# The most limits that are exchanged, and processes that are read of one.
_MOST_LIMITS: Final = 100
_MOST_PROCESSES: Final = 10_000
_LONGEST: Final = 200  # bytes of a value
# Seconds after which a process that is no longer heard of wants nothing.
_GONE: Final = 5.0


def exchange(store: Store, limits: RateLimits, name: str, clock: Clock) -> None:
    """Tell what this process has used of its limits, and lease what it may use of each.

    Args:
        store: The records in Redis.
        limits: The registry.
        name: An identifier of this process.
        clock: The current instant.
    """
    usages = {
        key: (f"{PREFIX}limit:{digested}", *values)
        for key, values in islice(limits.usages(clock.now).items(), _MOST_LIMITS)
        if (digested := digest(key))
    }
    if not usages:
        return
    mine = {record: (name, _write(usage, clock)) for record, _, _, usage in usages.values()}
    answers = store.exchange_usages(mine)
    for key, (record, rpm, tpm, usage) in usages.items():
        if (fields := answers.get(record)) is not None:
            others = _read_all(fields, clock)
            limits.set_lease(key, lease_of(name, {**others, name: usage}, rpm, tpm))


def _write(usage: Usage, clock: Clock) -> str:
    return bounded_json.dump([_VERSION, round(clock.server, 3), round(usage.demand, 3), usage.requests, usage.tokens])


def _read_all(fields: Mapping[bytes, bytes], clock: Clock) -> dict[str, Usage]:
    usages: dict[str, Usage] = {}
    for name, value in islice(fields.items(), _MOST_PROCESSES):
        usage = _read(value, clock)
        if usage is not None:
            usages[name.decode(errors="replace")] = usage
    return usages


def _read(text: bytes, clock: Clock) -> Usage | None:
    """Return the usage; None where it is malformed, or too old to count."""
    if len(text) > _LONGEST:
        return None
    try:
        value: object = bounded_json.parse(text)
    except bounded_json.JSONError:
        return None
    match value:
        case [version, at, demand, int(requests), int(tokens)] if version == _VERSION and requests >= 0 and tokens >= 0:
            since, wanted = bounded_json.finite(at), bounded_json.finite(demand)
        case _:
            return None
    if since is None or wanted is None or wanted < 0 or abs(clock.server - since) > WINDOW:
        return None
    return Usage(wanted if clock.server - since < _GONE else 0.0, requests, tokens)
