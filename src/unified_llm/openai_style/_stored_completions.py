"""Chat completions that a provider stored: the methods of ``client.chat.completions`` besides ``create``."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from unified_llm.openai_style._pages import AsyncPage, AsyncPaginator, SyncPage
from unified_llm.openai_style._raw_calls import AsyncRawCalls, RawCall, RawCalls, path_of
from unified_llm.openai_style.types.chat.chat_completion import ChatCompletion, ChatCompletionDeleted
from unified_llm.openai_style.types.chat.chat_completion_store_message import ChatCompletionStoreMessage

_FEATURE: Final = "stored_completions"


class SyncChatCompletionPage(SyncPage):
    """A page of stored chat completions."""

    data: list[ChatCompletion]


class AsyncChatCompletionPage(AsyncPage):
    """A page of stored chat completions."""

    data: list[ChatCompletion]


class SyncStoreMessagePage(SyncPage):
    """A page of the messages of a stored chat completion."""

    data: list[ChatCompletionStoreMessage]


class AsyncStoreMessagePage(AsyncPage):
    """A page of the messages of a stored chat completion."""

    data: list[ChatCompletionStoreMessage]


def _path(completion_id: str, *rest: str) -> str:
    return path_of("chat", "completions", "completion_id", *rest, completion_id=completion_id)


def _retrieve(completion_id: str, given: dict[str, Any]) -> RawCall[ChatCompletion]:
    return RawCall("GET", _path(completion_id), _FEATURE, given, ChatCompletion.from_json)


def _update(completion_id: str, given: dict[str, Any]) -> RawCall[ChatCompletion]:
    return RawCall("POST", _path(completion_id), _FEATURE, given, ChatCompletion.from_json)


def _delete(completion_id: str, given: dict[str, Any]) -> RawCall[ChatCompletionDeleted]:
    return RawCall("DELETE", _path(completion_id), _FEATURE, given, ChatCompletionDeleted.from_json)


class StoredMessages(RawCalls):
    """The messages of a stored chat completion."""

    PATH = "chat.completions.messages"

    def list(self, completion_id: str, **fields: Any) -> SyncStoreMessagePage:
        """List the messages; iterating over the page fetches those after it.

        Args:
            completion_id: The chat completion.
            **fields: ``limit``, ``order``, ``after``, and options of the call.
        """
        return self._list(_path(completion_id, "messages"), _FEATURE, fields, SyncStoreMessagePage)


class AsyncStoredMessages(AsyncRawCalls):
    """The same as ``StoredMessages``, with async methods."""

    PATH = "chat.completions.messages"

    def list(self, completion_id: str, **fields: Any) -> AsyncPaginator[AsyncStoreMessagePage]:
        """Do the same as ``StoredMessages.list``; await it, or iterate over it with ``async for``."""
        return self._list(_path(completion_id, "messages"), _FEATURE, fields, AsyncStoreMessagePage)


class StoredCompletions(RawCalls):
    """Chat completions that were created with ``store=True``; they belong to the account of the client's provider."""

    PATH = "chat.completions"

    @cached_property
    def messages(self) -> StoredMessages:
        """The messages of stored chat completions."""
        return StoredMessages(self._settings)

    def retrieve(self, completion_id: str, **options: Any) -> ChatCompletion:
        """Return a stored chat completion."""
        return self._send(_retrieve(completion_id, options))

    def update(self, completion_id: str, *, metadata: Any, **options: Any) -> ChatCompletion:
        """Replace the metadata of a stored chat completion."""
        return self._send(_update(completion_id, {"metadata": metadata, **options}))

    def list(self, **fields: Any) -> SyncChatCompletionPage:
        """List the stored chat completions; iterating over the page fetches those after it.

        Args:
            **fields: ``model``, ``metadata``, ``limit``, ``order``, ``after``, and options of the call.
        """
        return self._list("/chat/completions", _FEATURE, fields, SyncChatCompletionPage)

    def delete(self, completion_id: str, **options: Any) -> ChatCompletionDeleted:
        """Delete a stored chat completion."""
        return self._send(_delete(completion_id, options))


class AsyncStoredCompletions(AsyncRawCalls):
    """The same as ``StoredCompletions``, with async methods."""

    PATH = "chat.completions"

    @cached_property
    def messages(self) -> AsyncStoredMessages:
        """The messages of stored chat completions."""
        return AsyncStoredMessages(self._settings)

    async def retrieve(self, completion_id: str, **options: Any) -> ChatCompletion:
        """Do the same as ``StoredCompletions.retrieve``."""
        return await self._send(_retrieve(completion_id, options))

    async def update(self, completion_id: str, *, metadata: Any, **options: Any) -> ChatCompletion:
        """Do the same as ``StoredCompletions.update``."""
        return await self._send(_update(completion_id, {"metadata": metadata, **options}))

    def list(self, **fields: Any) -> AsyncPaginator[AsyncChatCompletionPage]:
        """Do the same as ``StoredCompletions.list``; await it, or iterate over it with ``async for``."""
        return self._list("/chat/completions", _FEATURE, fields, AsyncChatCompletionPage)

    async def delete(self, completion_id: str, **options: Any) -> ChatCompletionDeleted:
        """Do the same as ``StoredCompletions.delete``."""
        return await self._send(_delete(completion_id, options))
