"""Leases: what each of several processes that share a rate limit may use of it.

Once a second each process tells what it has used and how much it wants, and computes what everyone may use, from the
same numbers and so with the same result::

    limit 60, all together have used 50      process A          process B          process C
    used within the minute                   30                 20                 0
    wants (calls that were made, or wait)    4                  4                  4
    its fair part of 60                      20                 20                 20
    may count, until the next exchange       20: none is sent   20                 6 more, of the 10 that are left

Who has used more than its part sends nothing until that is a minute ago. What nobody wants goes to the others. A
process that hears no more of the others keeps its last part: all of them together stay within the limit, but for what
changes hands within the second between two exchanges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# The demand of a process that has made no call lately: it finds a small part when it makes one.
_LEAST_DEMAND: Final = 0.05
PARTS: Final = 10
"""So many parts a limit has, of which a process gets one more at most with each lease, and one before the first.

Others may have begun just now, and have not been heard of.
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process has used of a limit within a minute, and how much it wants.

    Attributes:
        demand: Calls that it made lately, and those that wait.
        requests: The requests that count.
        tokens: The tokens that count.
    """

    demand: float = 0.0
    requests: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """What this process may use of a limit.

    Attributes:
        requests: So many requests may count, those that do already included; None for no limit.
        tokens: So many tokens, in the same way.
        part: Its part of the limit, from 0 to 1, by which the calls of batches are spread.
        free_tokens: The tokens that nobody has used.
    """

    requests: int | None
    tokens: int | None
    part: float
    free_tokens: int = 0


def lease_of(name: str, usages: Mapping[str, Usage], rpm: int | None, tpm: int | None) -> Lease:
    """Return the lease of one of the processes that share a limit, by their names."""
    wanted = {other: max(_LEAST_DEMAND, usage.demand) for other, usage in usages.items()}
    total = sum(wanted.values())
    parts = {other: demand / total for other, demand in wanted.items()}
    requests = {other: usage.requests for other, usage in usages.items()}
    tokens = {other: usage.tokens for other, usage in usages.items()}
    return Lease(
        None if rpm is None else _share_out(rpm, requests, parts)[name],
        None if tpm is None else _share_out(tpm, tokens, parts)[name],
        parts[name],
        0 if tpm is None else max(0, tpm - sum(tokens.values())),
    )


def _share_out(limit: int, used: Mapping[str, int], parts: Mapping[str, float]) -> dict[str, int]:
    """Return how many of each may count: more than do now for those below their part, as far as something is left."""
    left = max(0, limit - sum(used.values()))
    lacking = {name: max(0.0, parts[name] * limit - used[name]) for name in used}
    total = sum(lacking.values())
    exact = {name: min(lacking[name], left * lacking[name] / total) if total else 0.0 for name in used}
    more = {name: int(amount) for name, amount in exact.items()}
    rest = min(left, round(sum(exact.values()))) - sum(more.values())
    for name in sorted(used, key=lambda name: (more[name] - exact[name], name))[: max(0, rest)]:
        more[name] += 1
    at_once = -(-limit // PARTS)
    kept = {name: used[name] if lacking[name] else min(used[name], int(parts[name] * limit)) for name in used}
    return {name: kept[name] + min(more[name], at_once) for name in used}
