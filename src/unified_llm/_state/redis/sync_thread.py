"""The thread in the background that talks to Redis, so that no call and no event loop ever waits for it.

One for each process, started by the first client or call and not before. A forked child starts its own. Callers hand
errands to a queue and go on; only who looks for a model list waits for the answer, and for 50 ms at most.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

from unified_llm._core import runtime
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened, CooldownStarted, HealthUpdate
from unified_llm._state.redis.commands import Store
from unified_llm._state.redis.sync import PERIOD, HealthSync
from unified_llm._state.redis.url import PATIENCE, Address
from unified_llm.types.responses import ModelInfo

_log = logging.getLogger("unified_llm")

# Seconds that the end of a process waits for the last news to leave.
_LAST_WORDS: Final = 0.2


Models: TypeAlias = tuple[ModelInfo, ...]
Found: TypeAlias = tuple[Models, float]
"""A model list, and its age in seconds."""


@dataclass(frozen=True, slots=True)
class _Sought:
    key: Hashable
    answer: Future[Found | None]


@dataclass(frozen=True, slots=True)
class _Fetched:
    key: Hashable
    models: Models
    ttl: float


# None: the end.
_Errand: TypeAlias = HealthUpdate | _Sought | _Fetched | None


class SyncThread:
    """Carries facts between the registry of this process and Redis, and model lists for whoever asks.

    Args:
        address: Where Redis is.
        learn: Given each fact of another process, in the courier's thread.
        catch_up: Called there before each turn, so that the registry tells what it may have put off.
    """

    def __init__(self, address: Address, learn: Callable[[HealthUpdate], None], catch_up: Callable[[], None]) -> None:
        """Nothing is started yet."""
        self.address = address
        self._learn, self._catch_up = learn, catch_up
        self.renew()

    def renew(self) -> None:
        """Start afresh: after a fork the thread is the parent's, and what was handed to it is told there."""
        # Re-entrant: a callback that runs in the garbage collector may make a call.
        self._lock = threading.RLock()
        self._inbox: SimpleQueue[_Errand] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._over = False

    def wake(self) -> None:
        """Start the thread, if it does not run."""
        if self._thread is not None or self._over:
            return
        with self._lock:
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, args=(self._inbox,), name="unified-llm-state", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads, or the interpreter is about to end
            self._over = True
            _log.warning("shared state: no thread can be started; calls go on without it")

    def tell(self, fact: HealthUpdate) -> None:
        """Pass a fact on. The queue may be added to at any moment, even in the garbage collector.

        What a test plays (in place of connections) is told to nobody.
        """
        if not runtime.current().exchange:
            self._inbox.put(fact)

    def keep(self, key: Hashable, models: Models, ttl: float) -> None:
        """Let other processes have a model list, for so many seconds."""
        self.wake()
        self._inbox.put(_Fetched(key, models, ttl))

    def find(self, key: Hashable, ttl: float) -> Found | None:
        """The model list that another process asked for less than ``ttl`` seconds ago, unless that takes too long."""
        try:
            return _fresh(self._seek(key).result(PATIENCE), ttl)
        except TimeoutError:
            return None

    async def afind(self, key: Hashable, ttl: float) -> Found | None:
        """As ``find``."""
        try:
            return _fresh(await asyncio.wait_for(asyncio.wrap_future(self._seek(key)), PATIENCE), ttl)
        except TimeoutError:
            return None

    def stop(self) -> None:
        """End the thread once it has told what it was handed. Does not wait."""
        self._over = True
        self._inbox.put(None)

    def finish(self) -> None:
        """End the thread, and wait a moment for its last words."""
        self.stop()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(_LAST_WORDS)

    def _seek(self, key: Hashable) -> Future[Found | None]:
        answer: Future[Found | None] = Future()
        self.wake()
        if self._over:
            answer.set_result(None)
        else:
            self._inbox.put(_Sought(key, answer))
        return answer

    def _work(self, inbox: SimpleQueue[_Errand]) -> None:
        ledger = HealthSync(Store(self.address.connect()), self._hear, _now)
        while True:
            try:
                errand = inbox.get(timeout=_pause(ledger))
            except Empty:
                if not runtime.current().exchange:
                    self._catch_up()
                    if inbox.empty():  # what that brought up goes first
                        ledger.turn()
                continue
            if errand is None:
                break
            _run(errand, ledger)
        ledger.close()

    def _hear(self, fact: HealthUpdate) -> None:
        if not self._over:
            self._learn(fact)


def _run(errand: HealthUpdate | _Sought | _Fetched, ledger: HealthSync) -> None:
    match errand:
        case BreakerOpened() | BreakerClosed() | CooldownStarted():
            ledger.note(errand)
        case _Fetched(key, models, ttl):
            ledger.keep(key, models, ttl)
        case _Sought(key, answer):
            if answer.set_running_or_notify_cancel():  # unless whoever asked has given up
                answer.set_result(ledger.find(key))


def _pause(ledger: HealthSync) -> float:
    """Seconds to the next turn; at most a period, since a test may set the clock."""
    return PERIOD if runtime.current().exchange else min(PERIOD, max(0.0, ledger.due - _now()))


def _fresh(found: Found | None, ttl: float) -> Found | None:
    return found if found and found[1] < ttl else None


def _now() -> float:
    return runtime.current().now()
