"""The registry of rate limits of this process."""

from __future__ import annotations

from typing import Final

from unified_llm._lib.fork_safe import run_in_child
from unified_llm._lib.swappable import Swappable
from unified_llm._policy.rate_limits import RateLimits

_limits: Final = Swappable(RateLimits)
current, apart = _limits.current, _limits.apart
LIMITS: Final = current()
"""The registry of the process, which ``current()`` returns except in ``apart``."""

run_in_child(lambda: current().forget_calls())
