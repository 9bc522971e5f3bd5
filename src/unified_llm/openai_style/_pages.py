"""Pages of lists, which are iterated as in OpenAI's SDK: over the items of this page and of those after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, Generic, Self, TypeVar

from unified_llm.openai_style._objects import OpenAIObject

PageT = TypeVar("PageT")


class BasePage(OpenAIObject):
    """A page of a list. A class for the items of a list declares ``data`` as a list of their class."""

    __slots__ = ("_fetch",)

    data: list[Any]
    object: str
    has_more: bool | None

    _fetch: Callable[[str], Any] | None

    def from_cursor(self, fetch: Callable[[str], Any] | None) -> Self:
        """Return the page, with the function that fetches the page after an item of this ID."""
        self._fetch = fetch
        return self

    def has_next_page(self) -> bool:
        """Return whether there is a page after this one."""
        return self._next_cursor() is not None

    def next_page_info(self) -> dict[str, Any] | None:
        """Return the parameters of the next page; None where there is none."""
        cursor = self._next_cursor()
        return None if cursor is None else {"params": {"after": cursor}}

    def _next_cursor(self) -> str | None:
        if getattr(self, "_fetch", None) is None or not self.data or self.get("has_more") is False:
            return None
        last = self.data[-1].get("id")
        return last if isinstance(last, str) else None

    def _fetch_next(self) -> Any:
        cursor = self._next_cursor()
        if cursor is None or self._fetch is None:
            raise RuntimeError("There is no page after this one: check has_next_page() first.")
        return self._fetch(cursor)


class SyncPage(BasePage):
    """A page of a list of a sync client."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the items of this page and of those after it, which are fetched when they are needed."""
        for page in self.iter_pages():
            yield from page.data

    def iter_pages(self) -> Iterator[Self]:
        """Iterate over this page and those after it."""
        page = self
        yield page
        while page.has_next_page():
            page = page.get_next_page()
            yield page

    def get_next_page(self) -> Self:
        """Fetch the next page.

        Raises:
            RuntimeError: There is none.
        """
        page: Self = self._fetch_next()
        return page


class AsyncPage(BasePage):
    """A page of a list of an async client."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the items of this page and of those after it, which are fetched when they are needed."""
        async for page in self.iter_pages():
            for item in page.data:
                yield item

    async def iter_pages(self) -> AsyncIterator[Self]:
        """Iterate over this page and those after it."""
        page = self
        yield page
        while page.has_next_page():
            page = await page.get_next_page()
            yield page

    async def get_next_page(self) -> Self:
        """Fetch the next page.

        Raises:
            RuntimeError: There is none.
        """
        page: Self = await self._fetch_next()
        return page


class AsyncPaginator(Generic[PageT]):
    """What a ``list`` of an async client returns: awaited it is the first page, iterated it is all items.

    Args:
        fetch: Fetches the first page.
    """

    def __init__(self, fetch: Callable[[], Awaitable[PageT]]) -> None:
        self._fetch = fetch

    def __await__(self) -> Generator[Any, None, PageT]:
        """Return the first page."""
        return self._fetch().__await__()

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the items of all pages."""
        page: Any = await self._fetch()
        async for item in page:
            yield item
