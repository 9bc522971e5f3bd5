"""Imports and file reads of the first async call of a kind of target, in a thread: no running loop waits for them.

The HTTP client takes a tenth of a second to import, certificates some milliseconds to read, and a development server
such as LangGraph's refuses calls that block its loop. Sync calls do it themselves when they need it.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable
from concurrent.futures import Future
from contextlib import suppress
from ssl import SSLContext
from typing import Final, TypeAlias

from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.fork_safe import run_in_child

_Key: TypeAlias = tuple[str, bool | str | None]

# Of this process; a few entries, since their keys are formats and the certificates of users.
_loads: Final[dict[_Key, Future[None]]] = {}
run_in_child(_loads.clear)  # the threads do not exist in a child


def load_for(target: Target) -> Awaitable[None] | None:
    """Return what to await before the first async exchange with a target; None once all that it needs is there.

    It never fails: what cannot be imported or read fails again in the exchange, which knows the error to raise.
    """
    key = (target.format, _certificates(target))
    future = _loads.get(key)
    if future is None:
        future = _start(key, target)
    if future.done():
        return None
    import asyncio  # which sync callers do without

    return asyncio.wrap_future(future)


def _certificates(target: Target) -> bool | str | None:
    """Return what names the certificates to read; None where there are none to read."""
    if not target.base_url.startswith("https:") or isinstance(target.verify, SSLContext):
        return None
    return target.verify if isinstance(target.verify, bool) else str(target.verify)


def _start(key: _Key, target: Target) -> Future[None]:
    future = _loads[key] = Future[None]()
    future.set_running_or_notify_cancel()  # from here on, a task that is cancelled does not cancel it for the others
    thread = threading.Thread(target=_load, args=(target, future), name="unified-llm-import", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads
        _load(target, future)
    return future


def _load(target: Target, future: Future[None]) -> None:
    try:
        with suppress(Exception):
            _import_backend(target)
    finally:
        future.set_result(None)


def _import_backend(target: Target) -> None:
    match target.format:
        case "wrapped" | "user":
            import unified_llm._backends.objects.exchange  # pyright: ignore[reportUnusedImport]
        case "mlx":
            import unified_llm._backends.mlx.exchange  # pyright: ignore[reportUnusedImport]
            import unified_llm._backends.mlx.model_loads  # noqa: F401 # pyright: ignore[reportUnusedImport]
        case _:
            from unified_llm._backends.http.preload import preload

            codec_for(target.format)
            preload(target)
