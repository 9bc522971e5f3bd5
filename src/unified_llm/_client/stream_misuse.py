"""Errors of a stream in code that is written for another kind: sync for async, a list, a coroutine.

The methods are hidden from type checkers, which then find such code by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

_NO_LIST: Final = "A stream is no list: its chunks come one after another. Make one of them first: "


class _Named:
    """Base of a stream, which knows the method of the client that made it."""

    _method = "stream"  # that of sync code; its async twin has an ``a`` before it

    if not TYPE_CHECKING:

        def _loop(self, *, is_async: bool) -> str:
            return f"`{'async ' if is_async else ''}for chunk in client.{'a' if is_async else ''}{self._method}(...):`"

        def _async_block(self) -> str:
            return f"`async with client.a{self._method}(...) as stream:`"


class SyncOnly(_Named):
    """Base of a stream for sync code: what async code does with it raises a ``TypeError``."""

    if not TYPE_CHECKING:

        def __await__(self) -> NoReturn:
            """Refuse ``await client.stream(...)``."""
            loops = f"{self._loop(is_async=False)}, or in async code {self._loop(is_async=True)}"
            raise TypeError(f"{self._method}() is not awaited: write {loops}")

        def __aiter__(self) -> NoReturn:
            """Refuse ``async for chunk in client.stream(...)``."""
            raise TypeError(f"{self._method}() is for sync code: in async code write {self._loop(is_async=True)}")

        def __aenter__(self) -> NoReturn:
            """Refuse ``async with client.stream(...)``."""
            raise TypeError(f"{self._method}() is for sync code: in async code write {self._async_block()}")

        def __aexit__(self, *_: object) -> NoReturn:
            """Exist, so that ``async with`` gets as far as ``__aenter__``."""
            raise NotImplementedError

        def __getitem__(self, _: Any) -> NoReturn:
            """Refuse ``stream[0]``."""
            raise TypeError(f"{_NO_LIST}`chunks = list(client.{self._method}(...))`")


class AsyncOnly(_Named):
    """Base of a stream for async code: what sync code does with it, and ``await``, raises a ``TypeError``."""

    if not TYPE_CHECKING:

        def __await__(self) -> NoReturn:
            """Refuse ``await client.astream(...)``."""
            raise TypeError(f"a{self._method}() is not awaited: write {self._loop(is_async=True)}")

        def __iter__(self) -> NoReturn:
            """Refuse ``for chunk in client.astream(...)``."""
            loops = f"{self._loop(is_async=True)}, or in sync code {self._loop(is_async=False)}"
            raise TypeError(f"a{self._method}() is for async code: write {loops}")

        def __next__(self) -> NoReturn:
            """Refuse ``next(stream)``."""
            raise TypeError(f"a{self._method}() is for async code: write `await anext(stream)`")

        def __enter__(self) -> NoReturn:
            """Refuse ``with client.astream(...)``."""
            raise TypeError(f"a{self._method}() is for async code: write {self._async_block()}")

        def __exit__(self, *_: object) -> NoReturn:
            """Exist, so that ``with`` gets as far as ``__enter__``."""
            raise NotImplementedError

        def __getitem__(self, _: Any) -> NoReturn:
            """Refuse ``stream[0]``."""
            raise TypeError(f"{_NO_LIST}`chunks = [chunk async for chunk in client.a{self._method}(...)]`")
