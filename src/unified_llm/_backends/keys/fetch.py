"""The key of a callable: the one that is kept, or a new one, for threads and tasks of any event loop alike.

The first caller that finds no valid key fetches one, and the others wait for it:

    sync callable    runs in a daemon thread, whoever asks: one that never returns costs its callers their time, and
                     leaves one thread
    async callable   is awaited by the first async caller itself, in its own context; where that caller gives up, one of
                     those that wait is next

A key that is about to end is fetched by one caller, while the others send the one that is kept.
"""

from __future__ import annotations

import contextvars
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from inspect import isawaitable
from threading import Thread
from typing import Any, Final, NamedTuple, TypeAlias

from unified_llm._core.api_key import Secret
from unified_llm._core.hidden import Hidden
from unified_llm._core.key_callable import KeptKey, KeyCallable, close_awaitable, read_returned
from unified_llm._core.outcome import Failure
from unified_llm._core.runtime import current
from unified_llm._core.seconds import FOREVER

# Seconds that a caller waits for a new key while the one that is kept is still valid.
_RENEWAL_WAIT: Final = 5.0
# Seconds after which a call of a callable that has not returned is given up, and another one begins.
_LOST: Final = 300.0

Fetched: TypeAlias = Secret | Failure
_Outcome: TypeAlias = Fetched | BaseException | None
"""End of a fetch: what came, or what the caller that fetched raises. None: it gave up, so another one has to fetch."""


class TakenKey(NamedTuple):
    """A key that an attempt sends, and the instant at which it was taken."""

    key: Secret
    at: float


class _Fetch(NamedTuple):
    """A call of the callable in progress, as one caller sees it.

    Attributes:
        outcome: Its end.
        leads: This caller has to make the call.
        began: The instant at which it began.
        valid: A key that is still valid, which the caller sends if no other comes in a few seconds.
    """

    outcome: Future[_Outcome]
    leads: bool
    began: float
    valid: Secret | None = None

    def seconds_to_wait(self, until: float) -> float | None:
        """Return for how long the caller waits; None for as long as it takes."""
        left = until - current().now()
        if self.valid is not None:
            left = min(left, _RENEWAL_WAIT)
        return None if left == FOREVER else max(0.0, left)

    def result(self, outcome: _Outcome) -> Fetched | None:
        """Return what the caller goes on with; None where it has to look again."""
        if isinstance(outcome, BaseException):
            if self.leads:
                raise outcome
            return None
        return self.valid if isinstance(outcome, Failure) and self.valid is not None else outcome


def get_key(source: KeyCallable, until: float, refused: TakenKey | None = None) -> Fetched:
    """Return the key for a request of a sync caller.

    Args:
        source: The callable.
        until: The instant at which the caller gives up.
        refused: The key that a server refused, in place of which another one is wanted.

    Raises:
        ConfigurationError: The callable turns out to be async.
    """
    while True:
        source.check_sync()
        fetch = _look_up(source.kept, refused)
        if isinstance(fetch, Secret):
            return fetch
        if fetch.leads:
            _start_thread(source, fetch)
        try:
            outcome = fetch.outcome.result(fetch.seconds_to_wait(until))
        except WaitTimeoutError:
            outcome = _late(source)
        if (key := fetch.result(outcome)) is not None:
            return key


async def aget_key(source: KeyCallable, until: float, refused: TakenKey | None = None) -> Fetched:
    """Do the same as ``get_key``, for async callers."""
    import asyncio  # which sync callers do without

    while True:
        fetch = _look_up(source.kept, refused)
        if isinstance(fetch, Secret):
            return fetch
        try:
            async with asyncio.timeout(fetch.seconds_to_wait(until)):
                if fetch.leads and source.kept.is_async:
                    await _call(source, fetch)
                elif fetch.leads:
                    _start_thread(source, fetch)
                outcome = await asyncio.wrap_future(fetch.outcome)
        except TimeoutError:
            outcome = _late(source)
        if (key := fetch.result(outcome)) is not None:
            return key


def _look_up(kept: KeptKey, refused: TakenKey | None) -> Secret | _Fetch:
    """Return the key to send; where there is none, the fetch to make or to wait for."""
    now = current().now()
    with kept.lock:
        key = kept.key if now < kept.ends_at else None
        if refused is not None and key == refused.key:
            if kept.asked_at > refused.at:  # it was asked again after another refusal, and returned the same key
                return refused.key
            key = None
        elif key is not None and (now < kept.renew_at or _is_in_progress(kept, now)):
            return key
        if kept.fetch is not None and _is_in_progress(kept, now):
            return _Fetch(kept.fetch, leads=False, began=kept.fetching_since)
        kept.fetch, kept.fetching_since = Future(), now
        kept.fetch.set_running_or_notify_cancel()  # a task that is cancelled must not cancel it for all
        return _Fetch(kept.fetch, leads=True, began=now, valid=key)


def _is_in_progress(kept: KeptKey, now: float) -> bool:
    return kept.fetch is not None and now - kept.fetching_since < _LOST


def _start_thread(source: KeyCallable, fetch: _Fetch) -> None:
    """Call a sync callable in a daemon thread, in the caller's context."""
    context = contextvars.copy_context()
    thread = Thread(target=context.run, args=(_run, source, fetch), name="unified-llm-key", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads
        reason = f"no thread could be started for {source.described}"
        _end(source.kept, fetch, Failure("setup", reason=reason, advice="use fewer threads", scope="process"))


def _run(source: KeyCallable, fetch: _Fetch) -> None:
    try:
        returned = Hidden(source.call())
        if isawaitable(returned.value):  # which its signature did not say
            close_awaitable(returned.value)
            source.kept.is_async = True
            _end(source.kept, fetch, None)
        else:
            _keep(source, fetch, returned)
    except Exception as error:  # noqa: BLE001 - whatever a user's function raises
        _end(source.kept, fetch, _raised(source, error))
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        _end(source.kept, fetch, error)


async def _call(source: KeyCallable, fetch: _Fetch) -> None:
    """Await an async callable, and end the fetch whatever happens."""
    outcome: Failure | None = None
    try:
        returned = Hidden(source.call())
        _keep(source, fetch, Hidden(await returned.value) if isawaitable(returned.value) else returned)
    except Exception as error:  # noqa: BLE001 - whatever a user's function raises
        outcome = _raised(source, error)
    finally:  # also where this caller gives up: one of those that wait is next
        if not fetch.outcome.done():
            _end(source.kept, fetch, outcome)


def _keep(source: KeyCallable, fetch: _Fetch, returned: Hidden[Any]) -> None:
    """End a fetch with what the callable returned."""
    read = read_returned(returned.value, source.described)
    if isinstance(read, str):
        reason = f"the key from {source.described} {read}"
        _end(source.kept, fetch, _failure(reason, "correct what it returns"))
        return
    key, seconds = read
    with source.kept.lock:
        if source.kept.fetch is fetch.outcome:
            source.kept.keep(key, seconds, fetch.began)
    _end(source.kept, fetch, key)


def _end(kept: KeptKey, fetch: _Fetch, outcome: _Outcome) -> None:
    """End a fetch, and wake all that wait for it."""
    with kept.lock:
        if kept.fetch is fetch.outcome:
            kept.fetch = None
    fetch.outcome.set_result(outcome)


# Failures. Nothing was sent, so none of them shows anything about the target's health or about the key.


def _raised(source: KeyCallable, error: Exception) -> Failure:
    """Name the type of an exception; its text may have anything in it."""
    reason = f"{source.described} raised {type(error).__name__}"
    return _failure(reason, "call it by itself to see its message, which is never shown here")


def _failure(reason: str, advice: str) -> Failure:
    return Failure("auth", reason=reason, advice=advice, about_key=False, scope="caller", unsent=True)


def _late(source: KeyCallable) -> Failure:
    reason = f"{source.described} returned no API key in time"
    return Failure("timeout", reason=reason, advice="check what it waits for", scope="caller", unsent=True)
