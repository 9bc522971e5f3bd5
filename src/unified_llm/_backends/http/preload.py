"""Imports of the HTTP client for async code, and certificates, before an event loop would wait for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import httpcore

import unified_llm._backends.http.exchange_async  # noqa: F401 # pyright: ignore[reportUnusedImport]
from unified_llm._backends.http import errors, pool

if TYPE_CHECKING:
    from unified_llm._core.target import Target


def preload(target: Target) -> None:
    """Import all that an async exchange with a target uses, and read the certificates that it trusts; in a thread.

    Nothing is sent. What is wrong with the certificates is left to the exchange to report.
    """
    asyncio.run(httpcore.AsyncConnectionPool().aclose())  # imports the locks for asyncio, which httpcore does lazily
    with suppress(*errors.SETUP_ERRORS):
        if (route := pool.route_in_advance(target)) is not None and route.origin[0] == "https":
            pool.load_ssl_context(route)
