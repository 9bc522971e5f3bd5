"""Clock, sleep, randomness and backends, in one place where a test can replace them.

Everything that depends on the outside goes through the current ``Runtime``. ``use`` replaces it for a while: tests of
this package run in fake time and without sockets, in sync and async, through every adapter.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unified_llm._core.codec import AnyRequest
    from unified_llm._core.exchange import AsyncExchange, Exchange
    from unified_llm._core.model_loading import ModelLoader, Preloader
    from unified_llm._core.target import Target
    from unified_llm.types.records import Attempt


def _sleep(until: float) -> None:
    time.sleep(max(0.0, until - time.monotonic()))


async def _asleep(until: float) -> None:
    import asyncio  # async callers have imported it; others need not wait for it

    await asyncio.sleep(max(0.0, until - time.monotonic()))


@dataclass(frozen=True, slots=True)
class Runtime:
    """Clock, sleep, randomness and backends.

    Attributes:
        now: A monotonic clock, in seconds.
        wall: The time of day, in seconds since the epoch.
        sleep: Block until an instant of that clock.
        asleep: Suspend until an instant of that clock.
        random: A uniform draw from 0 to 1.
        exchange: Makes the exchange in place of the real backends, or None.
        aexchange: The same for async callers.
        loader: Loads models in place of the real backends; None where they do, or where ``exchange`` replaces them.
        preloader: The same for targets on standby.
        observe: Called with each attempt of every call, as the call records it, or None. It must not raise.
        observe_chain: Called with the targets of every call before it begins, or None. It must not raise.
    """

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = _sleep
    asleep: Callable[[float], Awaitable[None]] = _asleep
    random: Callable[[], float] = random.random
    exchange: Callable[[AnyRequest, Target], Exchange] | None = None
    aexchange: Callable[[AnyRequest, Target], AsyncExchange] | None = None
    loader: ModelLoader | None = None
    preloader: Preloader | None = None
    observe: Callable[[Attempt], None] | None = None
    observe_chain: Callable[[Sequence[Target]], None] | None = None


_current = Runtime()


def current() -> Runtime:
    """Return the runtime in use."""
    return _current


@contextmanager
def use(runtime: Runtime) -> Generator[Runtime]:
    """Use another runtime in this process until the block ends."""
    global _current  # noqa: PLW0603 - the one switch of the process, set here alone
    before, _current = _current, runtime
    try:
        yield runtime
    finally:
        _current = before
