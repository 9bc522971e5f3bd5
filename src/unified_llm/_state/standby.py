"""Targets on standby: their models are loaded in the background while the primary of their chain is in trouble.

One state for each model of this process, however many clients have it in their chains::

                  a primary is in trouble                     preload ended
     UNLOADED ----------------------------------> LOADING ----------------------> LOADED
        ^                                            |                              |
        |<----- failed: not again for 5 minutes -----+                              |
        |                                                                           |
        +<---- 10 minutes after every primary responds again: unloaded, unless -----+
               it was there before, or a call has used it meanwhile: then its own rule holds, where it has
               one (``unloads_unused``); where not, it is unloaded 10 minutes after the last call

    primary    x x x (breaker opens) . . . . . . . ok ok ok ok ok ok ok
    model      |-- loading --|-- loaded ------------|-- 10 min --| unloaded

A primary is in trouble when its breaker opens, or after three failures within a minute (``TargetHealth.condition``), of
any call in this process. It is back when its breaker is closed and a request has been answered. Each model whose state
may change with time has a thread until that has happened; what loads and unloads is a ``Preloader``.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from unified_llm._core import runtime
from unified_llm._core.model_loading import LoadError, ModelState, Preloaded, Preloader
from unified_llm._core.seconds import FOREVER
from unified_llm._core.target import Target
from unified_llm._lib.fork_safe import make_condition, make_lock, run_in_child
from unified_llm._lib.show_seconds import show_seconds
from unified_llm._lib.swappable import Swappable
from unified_llm._policy.health import Health

_log = logging.getLogger("unified_llm")

KEPT_AFTERWARDS: Final = 600.0
"""Seconds for which a model stays loaded after the primary is back."""

_RETRY_AFTER: Final = 300.0  # seconds before a model that could not be loaded is tried again
# Seconds between looks at what the registry has queued: the success of a call is applied by the next one, if there is
# one.
_LOOK_EVERY: Final = 60.0


class Watch:
    """Membership of a chain in the registry: it ends when the chain is forgotten."""


class Standby:
    """A model on standby. Its own lock guards it; the preloader is called without."""

    def __init__(self, target: Target, preloader: Preloader, apply_outcomes: Callable[[], None]) -> None:
        self.target = target
        self._apply_outcomes = apply_outcomes
        self.primaries: dict[Hashable, Target] = {}
        self.watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._preloader = preloader
        self._lock = make_lock()
        self.reset()

    def reset(self) -> None:
        """Reset: nothing is loaded, and no thread runs."""
        self.state: ModelState = "unloaded"
        self.reason = ""
        self.loading: Future[None] | None = None
        self._woken = make_condition(self._lock)
        self._troubled: dict[Hashable, str] = {}
        self._loaded = Preloaded()
        self._used = False
        self._since = 0.0
        self._back_at: float | None = None
        self._renew_at = self._look_at = FOREVER
        self._not_before = float("-inf")
        self._has_thread = False

    @property
    def watched(self) -> set[Hashable]:
        """The health keys of its own target and of its primaries."""
        return {self.target.health_key, *self.primaries}

    def note(self, key: Hashable, health: Health, now: float) -> bool:
        """Take note that something happened to a target; return whether there is something to do for ``poll``."""
        primary = self.primaries.get(key)
        condition = None if primary is None else health.condition(primary, now)
        own = health.condition(self.target, now) if key == self.target.health_key else None
        with self._lock:
            if own is not None and own.succeeded_at >= self._since:
                self._note_use(own.succeeded_at)
            if primary is not None and condition is not None:
                if condition.reason:
                    self._troubled[key] = f"{primary.name}: {condition.reason}"
                    self._back_at = None
                    if self.state == "loaded" and self._preloader.is_gone(self.target):
                        self.state = "unloaded"
                elif condition.responds and key in self._troubled:
                    del self._troubled[key]
                    self._back_at = None if self._troubled else condition.succeeded_at
            due = self._due()
            self._woken.notify_all()
            return due is not None

    def _note_use(self, at: float) -> None:
        """Take note that a call has used the model; the lock must be held."""
        if self._preloader.unloads_unused(self.target):
            self._used = True
        elif self._back_at is not None:
            self._back_at = max(self._back_at, at)

    def poll(self) -> float | None:
        """Do what is due; return the instant at which something else is, or None where nothing is planned."""
        now = runtime.current().now()
        if self.state == "loaded":
            self._apply_outcomes()  # a call that has just used the model may be the last one
        with self._lock:
            due = self._due()
            if due is None or due > now:
                return due
            if self.state == "unloaded":
                action = self._load
                self.state, self._since, self._used, self._back_at = "loading", now, False, None
                self.reason = next(iter(self._troubled.values()))
                self.loading = Future()
                self.loading.set_running_or_notify_cancel()  # a task that is cancelled does not cancel it for others
            elif self._back_at is not None and now >= self._back_at + KEPT_AFTERWARDS:
                action = self._undo
                self.state = "unloaded"
            elif now >= self._renew_at:
                action = self._renew
            else:
                self._look_at = now + _LOOK_EVERY
                return self._due()
        action(now)
        with self._lock:
            return self._due()

    def run(self) -> None:
        """Do what is due, and wait for what is planned, until nothing is. Runs in a thread of its own."""
        while True:
            due = self.poll()
            with self._lock:
                if due is None and self._due() is None:
                    self._has_thread = False
                    return
                if due is not None:
                    self._woken.wait(min(max(0.0, due - runtime.current().now()), threading.TIMEOUT_MAX))

    def start(self) -> None:
        """Run in a thread, unless one does already."""
        with self._lock:
            if self._has_thread:
                return
            self._has_thread = True
        thread = threading.Thread(target=self.run, name="unified-llm-standby", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter has begun to exit
            self._has_thread = False

    def describe(self, now: float) -> dict[str, Any] | None:
        """Return the row of the snapshot; None where the model is not on standby now."""
        with self._lock:
            if self.state == "unloaded":
                return None
            back = self._back_at
            return {
                "state": self.state,
                "reason": self.reason,
                "seconds": round(max(0.0, now - self._since), 3),
                "unloaded_in": None if back is None else round(max(0.0, back + KEPT_AFTERWARDS - now), 3),
            }

    def _due(self) -> float | None:
        """Return the instant at which something is to be done; the lock must be held."""
        if self.state == "unloaded":
            return self._not_before if self._troubled and self.watches else None
        if self.state == "loading":
            return None
        return min(self._renew_at, self._look_at if self._back_at is None else self._back_at + KEPT_AFTERWARDS)

    def _load(self, now: float) -> None:
        began = now
        _log.info("%s: on standby, its model is being loaded (%s)", self.target.name, self.reason, extra=self._fields())
        loaded, problem = Preloaded(), ""
        try:
            loaded = self._preloader.preload(self.target)
        except LoadError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, no call depends on it
            problem = type(error).__name__
        now = runtime.current().now()
        if problem and threading.main_thread().is_alive():  # not where the process ends meanwhile
            _log.warning("%s: its model could not be loaded: %s", self.target.name, problem, extra=self._fields())
        elif not problem:
            took = "was loaded already" if loaded.before else f"was loaded in {show_seconds(now - began)}"
            _log.info("%s: on standby, its model %s", self.target.name, took, extra=self._fields(seconds=now - began))
        with self._lock:
            self.state = "unloaded" if problem else "loaded"
            self._loaded = loaded
            self._not_before = now + _RETRY_AFTER if problem else float("-inf")
            self._renew_at = now + self._preloader.seconds_kept(self.target)
            self._look_at = now + _LOOK_EVERY
            if not self._troubled and self._back_at is None:
                self._back_at = now  # the primary came back while it was being loaded
            future, self.loading = self.loading, None
        if future is not None:
            future.set_result(None)

    def _renew(self, now: float) -> None:
        try:
            self._preloader.preload(self.target)
        except Exception as error:  # noqa: BLE001 - as above
            _log.debug("%s: its server does not keep its model loaded: %s", self.target.name, type(error).__name__)
        with self._lock:
            self._renew_at = now + self._preloader.seconds_kept(self.target)

    def _undo(self, now: float) -> None:
        with self._lock:
            self._since = now
        if self._used or self._loaded.before:
            why = "calls have used it" if self._used else "it was loaded before"
            text = "%s: no longer on standby; its model stays loaded: %s"
            _log.info(text, self.target.name, why, extra=self._fields())
            return
        try:
            self._preloader.unload(self.target, self._loaded)
        except Exception as error:  # noqa: BLE001 - as above
            problem = str(error) if isinstance(error, LoadError) else type(error).__name__
            _log.warning("%s: its model could not be unloaded: %s", self.target.name, problem, extra=self._fields())
        else:
            text = "%s: no longer on standby, its model is unloaded: the primary has responded for %s"
            _log.info(text, self.target.name, show_seconds(KEPT_AFTERWARDS), extra=self._fields())

    def _fields(self, **more: Any) -> dict[str, Any]:
        return {"target": self.target.name, "reason": self.reason, **more}


@dataclass(frozen=True, slots=True)
class _Key:
    """What decides which model is loaded, and where."""

    health_key: Hashable
    adapter: str | None
    draft: str | None
    window: int | None

    @classmethod
    def of(cls, target: Target) -> _Key:
        window = target.context_window if target.window_declared else None
        return cls(target.health_key, target.mlx.adapter_path, target.mlx.draft_model, window)


class Standbys:
    """The models on standby of this process.

    Args:
        start: Runs one until nothing is planned for it; in a thread by default.
    """

    def __init__(self, start: Callable[[Standby], None] = Standby.start) -> None:
        self._start = start
        self._lock = make_lock()
        self._standbys: dict[_Key, Standby] = {}

    def watch(self, chain: Sequence[Target], preloader: Preloader, health: Health) -> Watch | None:
        """Load the models of a chain that are on standby when its first target is in trouble, from now on.

        Returns:
            What the chain has to keep: nothing is loaded for it once that is gone. None where none is on standby.
        """
        on_standby = [target for target in chain[1:] if target.standby is not None]
        if not on_standby:
            return None
        watch, primary = Watch(), chain[0]
        with self._lock:
            for key in [
                key for key, known in self._standbys.items() if known.state == "unloaded" and not known.watches
            ]:
                del self._standbys[key]
            for target in on_standby:
                standby = self._standbys.setdefault(_Key.of(target), Standby(target, preloader, health.apply_outcomes))
                standby.watches.add(watch)
                standby.primaries[primary.health_key] = primary
            keys = {key for standby in self._standbys.values() for key in standby.watched}
        health.watch(keys)
        self.note(primary.health_key, health)
        return watch

    def note(self, key: Hashable, health: Health) -> None:
        """Take note that something happened to a target; load or plan in the background what follows from it."""
        now = runtime.current().now()
        with self._lock:
            concerned = [standby for standby in self._standbys.values() if key in standby.watched]
        for standby in concerned:
            if standby.note(key, health, now):
                self._start(standby)

    def find(self, target: Target) -> Standby | None:
        """Return the state of a target's model; None where no chain has it on standby."""
        return self._standbys.get(_Key.of(target)) if self._standbys else None

    def reset_in_child(self) -> None:
        """Reset in a forked child, where no model is loaded and no thread runs; chains stay watched."""
        for standby in self._standbys.values():
            standby.reset()

    def describe(self, name: str, now: float) -> dict[str, Any] | None:
        """Return what the snapshot says of the target of a name; None where it is not on standby now."""
        if not self._standbys:
            return None
        with self._lock:
            standbys = [standby for standby in self._standbys.values() if standby.target.name == name]
        return next((row for standby in standbys if (row := standby.describe(now)) is not None), None)


_standbys: Final = Swappable(Standbys)
current, apart = _standbys.current, _standbys.apart


def _reset_in_child() -> None:
    current().reset_in_child()


run_in_child(_reset_in_child)
