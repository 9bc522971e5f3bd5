"""``client.batches``: batches of requests at the provider of the client."""

from __future__ import annotations

from typing import Any, Final

from unified_llm.openai_style._pages import AsyncPage, AsyncPaginator, SyncPage
from unified_llm.openai_style._raw_calls import AsyncRawCalls, RawCall, RawCalls, path_of
from unified_llm.openai_style.types.batch import Batch

_FEATURE: Final = "batches"


class SyncBatchPage(SyncPage):
    """A page of batches."""

    data: list[Batch]


class AsyncBatchPage(AsyncPage):
    """A page of batches."""

    data: list[Batch]


def _create(given: dict[str, Any]) -> RawCall[Batch]:
    return RawCall("POST", "/batches", _FEATURE, given, Batch.from_json)


def _retrieve(batch_id: str, given: dict[str, Any]) -> RawCall[Batch]:
    return RawCall("GET", path_of("batches", "batch_id", batch_id=batch_id), _FEATURE, given, Batch.from_json)


def _cancel(batch_id: str, given: dict[str, Any]) -> RawCall[Batch]:
    path = path_of("batches", "batch_id", "cancel", batch_id=batch_id)
    return RawCall("POST", path, _FEATURE, given, Batch.from_json)


class Batches(RawCalls):
    """Batches at the provider of the client; they belong to its account, so that nothing fails over."""

    PATH = "batches"

    def create(self, **fields: Any) -> Batch:
        """Begin a batch.

        Args:
            **fields: ``input_file_id`` (a file of the purpose ``batch``), ``endpoint`` (``/v1/chat/completions`` ...),
                ``completion_window`` (``24h``), ``metadata`` ..., and options of the call.
        """
        return self._send(_create(fields))

    def retrieve(self, batch_id: str, **options: Any) -> Batch:
        """Return the state of a batch."""
        return self._send(_retrieve(batch_id, options))

    def list(self, **fields: Any) -> SyncBatchPage:
        """List the batches; iterating over the page fetches those after it.

        Args:
            **fields: ``limit``, ``after``, and options of the call.
        """
        return self._list("/batches", _FEATURE, fields, SyncBatchPage)

    def cancel(self, batch_id: str, **options: Any) -> Batch:
        """Cancel a batch."""
        return self._send(_cancel(batch_id, options))


class AsyncBatches(AsyncRawCalls):
    """The same as ``Batches``, with async methods."""

    PATH = "batches"

    async def create(self, **fields: Any) -> Batch:
        """Do the same as ``Batches.create``."""
        return await self._send(_create(fields))

    async def retrieve(self, batch_id: str, **options: Any) -> Batch:
        """Do the same as ``Batches.retrieve``."""
        return await self._send(_retrieve(batch_id, options))

    def list(self, **fields: Any) -> AsyncPaginator[AsyncBatchPage]:
        """Do the same as ``Batches.list``; await it, or iterate over it with ``async for``."""
        return self._list("/batches", _FEATURE, fields, AsyncBatchPage)

    async def cancel(self, batch_id: str, **options: Any) -> Batch:
        """Do the same as ``Batches.cancel``."""
        return await self._send(_cancel(batch_id, options))
