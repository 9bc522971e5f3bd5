"""Errors of a stream in code that is written for another kind: sync for async, a list, a coroutine.

The methods are hidden from type checkers, which then find such code by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

_ASYNC: Final = "`async for chunk in client.astream(...):`"
_SYNC: Final = "`for chunk in client.stream(...):`"
_ASYNC_BLOCK: Final = "`async with client.astream(...) as stream:`"
_NO_LIST: Final = "A stream is no list: its chunks come one after another. Make one of them first: "


class SyncOnly:
    """Base of a stream for sync code: what async code does with it raises a ``TypeError``."""

    if not TYPE_CHECKING:

        def __await__(self) -> NoReturn:
            """Refuse ``await client.stream(...)``."""
            raise TypeError(f"stream() is not awaited: write {_SYNC}, or in async code {_ASYNC}")

        def __aiter__(self) -> NoReturn:
            """Refuse ``async for chunk in client.stream(...)``."""
            raise TypeError(f"stream() is for sync code: in async code write {_ASYNC}")

        def __aenter__(self) -> NoReturn:
            """Refuse ``async with client.stream(...)``."""
            raise TypeError(f"stream() is for sync code: in async code write {_ASYNC_BLOCK}")

        def __aexit__(self, *_: object) -> NoReturn:
            """Exist, so that ``async with`` gets as far as ``__aenter__``."""
            raise NotImplementedError

        def __getitem__(self, _: Any) -> NoReturn:
            """Refuse ``stream[0]``."""
            raise TypeError(f"{_NO_LIST}`chunks = list(client.stream(...))`")


class AsyncOnly:
    """Base of a stream for async code: what sync code does with it, and ``await``, raises a ``TypeError``."""

    if not TYPE_CHECKING:

        def __await__(self) -> NoReturn:
            """Refuse ``await client.astream(...)``."""
            raise TypeError(f"astream() is not awaited: write {_ASYNC}")

        def __iter__(self) -> NoReturn:
            """Refuse ``for chunk in client.astream(...)``."""
            raise TypeError(f"astream() is for async code: write {_ASYNC}, or in sync code {_SYNC}")

        def __next__(self) -> NoReturn:
            """Refuse ``next(stream)``."""
            raise TypeError("astream() is for async code: write `await anext(stream)`")

        def __enter__(self) -> NoReturn:
            """Refuse ``with client.astream(...)``."""
            raise TypeError(f"astream() is for async code: write {_ASYNC_BLOCK}")

        def __exit__(self, *_: object) -> NoReturn:
            """Exist, so that ``with`` gets as far as ``__enter__``."""
            raise NotImplementedError

        def __getitem__(self, _: Any) -> NoReturn:
            """Refuse ``stream[0]``."""
            raise TypeError(f"{_NO_LIST}`chunks = [chunk async for chunk in client.astream(...)]`")
