"""The background thread that talks to Redis, so that no call and no event loop ever waits for it.

    calls ── jobs ──> queue ──> thread ──> Redis
    registry <── health updates of other processes ──┘

One for each process, started by the first client or call. A forked child starts its own. Callers put jobs into a queue
and go on; only a look-up of a model list waits for its result, 50 ms at most.
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
from unified_llm._lib.fork_safe import make_lock
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened, CooldownStarted, HealthUpdate
from unified_llm._policy.rate_limits import RateLimits
from unified_llm._state.redis.commands import Store
from unified_llm._state.redis.sync import PERIOD, HealthSync
from unified_llm._state.redis.url import REDIS_TIMEOUT, RedisURL
from unified_llm.types.responses import ModelInfo

_log = logging.getLogger("unified_llm")

# Seconds that the end of a process waits for the last updates to be sent.
_FINISH_TIMEOUT: Final = 0.2


Models: TypeAlias = tuple[ModelInfo, ...]
AgedModels: TypeAlias = tuple[Models, float]
"""A model list, and its age in seconds."""


@dataclass(frozen=True, slots=True)
class _FindModels:
    key: Hashable
    result: Future[AgedModels | None]


@dataclass(frozen=True, slots=True)
class _StoreModels:
    key: Hashable
    models: Models
    ttl: float


# None ends the thread.
_Job: TypeAlias = HealthUpdate | _FindModels | _StoreModels | None


class SyncThread:
    """Exchanges health updates between the registry of this process and Redis, and looks up model lists.

    Args:
        url: The URL of Redis.
        learn: Called in the thread with each health update of another process.
        catch_up: Called there before each poll, so that the registry publishes what it may have put off.
        limits: The rate limits whose leases are renewed there.
    """

    def __init__(
        self,
        url: RedisURL,
        learn: Callable[[HealthUpdate], None],
        catch_up: Callable[[], None],
        limits: RateLimits | None = None,
    ) -> None:
        self.url = url
        self._learn, self._catch_up, self._limits = learn, catch_up, limits
        self.renew()

    def renew(self) -> None:
        """Reset after a fork: the thread and its queue belong to the parent."""
        # Re-entrant: a callback that runs in the garbage collector may make a call.
        self._lock = make_lock()
        self._inbox: SimpleQueue[_Job] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._over = False
        self._has_polled = threading.Event()

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
        except RuntimeError:  # no more threads, or the interpreter is shutting down
            self._over = True
            _log.warning("shared state: no thread can be started; calls go on without it")

    def wait_for_first_poll(self, timeout: float) -> None:
        """Wait until what other processes published before has been read, or cannot be; ``timeout`` seconds at most."""
        self.wake()
        if not self._over and not runtime.current().exchange:
            self._has_polled.wait(timeout)

    def publish(self, update: HealthUpdate) -> None:
        """Publish an update. May run at any moment, even in the garbage collector.

        Updates from simulated backends of a test are not published.
        """
        if not runtime.current().exchange:
            self._inbox.put(update)

    def keep(self, key: Hashable, models: Models, ttl: float) -> None:
        """Store a model list for other processes, for ``ttl`` seconds."""
        self.wake()
        self._inbox.put(_StoreModels(key, models, ttl))

    def find(self, key: Hashable, ttl: float) -> AgedModels | None:
        """Return the model list that another process fetched less than ``ttl`` seconds ago, if found within 50 ms."""
        try:
            return _fresh(self._request_models(key).result(REDIS_TIMEOUT), ttl)
        except TimeoutError:
            return None

    async def afind(self, key: Hashable, ttl: float) -> AgedModels | None:
        """Do the same as ``find``, for async callers."""
        try:
            return _fresh(await asyncio.wait_for(asyncio.wrap_future(self._request_models(key)), REDIS_TIMEOUT), ttl)
        except TimeoutError:
            return None

    def stop(self) -> None:
        """End the thread once its queue is empty. Does not wait."""
        self._over = True
        self._inbox.put(None)

    def finish(self) -> None:
        """End the thread, and wait 0.2 s for its last updates to be sent."""
        self.stop()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(_FINISH_TIMEOUT)

    def _request_models(self, key: Hashable) -> Future[AgedModels | None]:
        result: Future[AgedModels | None] = Future()
        self.wake()
        if self._over:
            result.set_result(None)
        else:
            self._inbox.put(_FindModels(key, result))
        return result

    def _work(self, inbox: SimpleQueue[_Job]) -> None:
        sync = HealthSync(Store(self.url.connect()), self._receive, _now, self._limits)
        while True:
            try:
                job = inbox.get(timeout=_pause(sync))
            except Empty:
                if not runtime.current().exchange:
                    self._catch_up()
                    if inbox.empty():  # what catch_up has published goes first
                        sync.poll()
                        self._has_polled.set()
                continue
            if job is None:
                break
            _run(job, sync)
            if sync.overdue and not runtime.current().exchange:
                sync.poll()  # more jobs come than the thread can do between two polls
        sync.close()

    def _receive(self, update: HealthUpdate) -> None:
        if not self._over:
            self._learn(update)


def _run(job: HealthUpdate | _FindModels | _StoreModels, sync: HealthSync) -> None:
    match job:
        case BreakerOpened() | BreakerClosed() | CooldownStarted():
            sync.publish(job)
        case _StoreModels(key, models, ttl):
            sync.keep(key, models, ttl)
        case _FindModels(key, result):
            if result.set_running_or_notify_cancel():  # unless the caller was cancelled
                result.set_result(sync.find(key))


def _pause(sync: HealthSync) -> float:
    """Return the seconds to the next poll; at most a period, since a test may set the clock."""
    return PERIOD if runtime.current().exchange else min(PERIOD, max(0.0, sync.due - _now()))


def _fresh(aged: AgedModels | None, ttl: float) -> AgedModels | None:
    return aged if aged and aged[1] < ttl else None


def _now() -> float:
    return runtime.current().now()
