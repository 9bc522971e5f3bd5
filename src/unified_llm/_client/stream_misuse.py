"""Errors of a stream in code that is written for another kind: sync for async, a list, a coroutine.

The methods are hidden from type checkers, which then find such code by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn


class _Named:
    """Base of a stream, which knows the method of the client that made it."""

    _method = "stream"  # that of sync code; its async twin has an ``a`` before it
    _thing, _item = "stream", "chunk"

    if not TYPE_CHECKING:

        def _named(self, *, is_async: bool) -> str:
            return f"{'a' if is_async else ''}{self._method}"

        def _loop(self, *, is_async: bool) -> str:
            return f"`{'async ' if is_async else ''}for {self._item} in client.{self._named(is_async=is_async)}(...):`"

        def _async_block(self) -> str:
            return f"`async with client.a{self._method}(...) as {self._thing}:`"

        def _no_list(self, loop: str) -> str:
            items = f"{self._item}s"
            problem = f"A {self._thing} is no list: its {items} come one after another"
            return f"{problem}. Make one of them first: `{items} = {loop}`"


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
            raise TypeError(self._no_list(f"list(client.{self._named(is_async=False)}(...))"))


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
            item = self._item
            raise TypeError(self._no_list(f"[{item} async for {item} in client.{self._named(is_async=True)}(...)]"))
