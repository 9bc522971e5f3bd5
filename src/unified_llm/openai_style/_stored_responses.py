"""Responses that a provider stored: the methods of ``client.responses`` besides ``create``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from typing_extensions import override

from unified_llm.openai_style._declared_fields import read_union
from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style._pages import AsyncPage, AsyncPaginator, BasePage, SyncPage
from unified_llm.openai_style._raw_calls import AsyncRawCalls, RawCall, RawCalls, path_of
from unified_llm.openai_style._responses_events import event_of
from unified_llm.openai_style.types.responses.response import Response
from unified_llm.openai_style.types.responses.response_input_message_item import ResponseInputMessageItem
from unified_llm.openai_style.types.responses.response_item_list import Item
from unified_llm.types.raw import RawRequest
from unified_llm.types.requests import LLMRequest

_FEATURE: Final = "stored_responses"
_ITEM: Final = read_union(OpenAIObject | Item, OpenAIObject)
# Fields that ``/responses/input_tokens`` accepts, as the SDK sends them.
_COUNTED: Final = (
    "conversation", "input", "instructions", "model", "parallel_tool_calls", "personality", "previous_response_id",
    "reasoning", "text", "tool_choice", "tools", "truncation",
)  # fmt: skip


class _ItemPage(BasePage):
    @classmethod
    @override
    def from_json(cls, parsed: Mapping[str, Any]) -> Self:
        """Wrap a page, with the items in their classes: those of messages differ by the role."""
        page = super().from_json(parsed)
        items = parsed.get("data") or ()
        page.data = [ResponseInputMessageItem.from_json(item) if _is_input(item) else _ITEM(item) for item in items]
        return page


class SyncItemPage(_ItemPage, SyncPage):
    """A page of the input of a stored response."""


class AsyncItemPage(_ItemPage, AsyncPage):
    """A page of the input of a stored response."""


def _is_input(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("type") == "message" and item.get("role") != "assistant"


def count_call(body: Mapping[str, Any], request: LLMRequest) -> RawRequest:
    """Return the request for the tokens of an input, at a target that has the Responses API."""
    fields = {name: body[name] for name in _COUNTED if name in body}
    return RawRequest("POST", "/responses/input_tokens", _FEATURE, body=fields, one_account=True, model=request.model)


def _path(response_id: str, *rest: str) -> str:
    return path_of("responses", "response_id", *rest, response_id=response_id)


def _retrieve(response_id: str, given: dict[str, Any]) -> RawCall[Response]:
    return RawCall("GET", _path(response_id), _FEATURE, given, Response.from_json)


def _events(response_id: str, given: dict[str, Any]) -> RawCall[OpenAIObject]:
    return RawCall("GET", _path(response_id), _FEATURE, {**given, "stream": True}, event_of, stream=True)


def _delete(response_id: str, given: dict[str, Any]) -> RawCall[None]:
    return RawCall("DELETE", _path(response_id), _FEATURE, given, lambda _: None, returns="text")


def _cancel(response_id: str, given: dict[str, Any]) -> RawCall[Response]:
    return RawCall("POST", _path(response_id, "cancel"), _FEATURE, given, Response.from_json)


class InputItems(RawCalls):
    """The input of stored responses."""

    PATH = "responses.input_items"

    def list(self, response_id: str, **fields: Any) -> SyncItemPage:
        """List the items of the input; iterating over the page fetches those after it.

        Args:
            response_id: The response.
            **fields: ``limit``, ``order``, ``after``, ``include``, and options of the call.
        """
        return self._list(_path(response_id, "input_items"), _FEATURE, fields, SyncItemPage)


class AsyncInputItems(AsyncRawCalls):
    """The same as ``InputItems``, with async methods."""

    PATH = "responses.input_items"

    def list(self, response_id: str, **fields: Any) -> AsyncPaginator[AsyncItemPage]:
        """Do the same as ``InputItems.list``; await it, or iterate over it with ``async for``."""
        return self._list(_path(response_id, "input_items"), _FEATURE, fields, AsyncItemPage)


class StoredResponses(RawCalls):
    """Responses that are stored at the provider of the client, in whose account they are."""

    PATH = "responses"

    def retrieve(self, response_id: str, *, stream: Any = False, **fields: Any) -> Any:
        """Return a stored response.

        Args:
            response_id: The response.
            stream: Return its events instead, as ``create`` streams them.
            **fields: ``include``; with ``stream``, ``starting_after`` (the number of an event); options of the call.
        """
        if stream:
            return self._stream(_events(response_id, fields))
        return self._send(_retrieve(response_id, fields))

    def delete(self, response_id: str, **options: Any) -> None:
        """Delete a stored response."""
        self._send(_delete(response_id, options))

    def cancel(self, response_id: str, **options: Any) -> Response:
        """Cancel a response that is made in the background."""
        return self._send(_cancel(response_id, options))


class AsyncStoredResponses(AsyncRawCalls):
    """The same as ``StoredResponses``, with async methods."""

    PATH = "responses"

    async def retrieve(self, response_id: str, *, stream: Any = False, **fields: Any) -> Any:
        """Do the same as ``StoredResponses.retrieve``."""
        if stream:
            return await self._stream(_events(response_id, fields))
        return await self._send(_retrieve(response_id, fields))

    async def delete(self, response_id: str, **options: Any) -> None:
        """Do the same as ``StoredResponses.delete``."""
        await self._send(_delete(response_id, options))

    async def cancel(self, response_id: str, **options: Any) -> Response:
        """Do the same as ``StoredResponses.cancel``."""
        return await self._send(_cancel(response_id, options))
