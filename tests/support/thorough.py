"""What a quick run leaves out: ``make test`` takes some of many similar cases, ``make coverage`` (CI) takes all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final, TypeVar

THOROUGH: Final = bool(os.environ.get("TESTS_THOROUGH"))
Case = TypeVar("Case")


def some(cases: Iterable[Case], step: int, start: int = 0) -> list[Case]:
    """Return all cases in a thorough run, else every ``step``-th; ``start`` chooses which."""
    return list(cases)[0 if THOROUGH else start % step :: 1 if THOROUGH else step]


def examples(most: int) -> int:
    """Return the number of examples of Hypothesis: ``most`` in a thorough run, else a quarter."""
    return most if THOROUGH else max(4, most // 4)
