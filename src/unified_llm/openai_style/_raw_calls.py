"""Calls of endpoints whose bodies pass unchanged: files, batches, moderation, and what is stored at a provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm.exceptions import ValidationError
from unified_llm.openai_style._binary_content import BinaryContent
from unified_llm.openai_style._media_streams import aopen_stream, open_stream
from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style._pages import AsyncPage, AsyncPaginator, SyncPage
from unified_llm.openai_style._plain import plain
from unified_llm.openai_style._records import with_record
from unified_llm.openai_style._resource import AsyncResource, Call, Resource, family_errors
from unified_llm.openai_style._streams import AsyncStream, Stream, event_bodies
from unified_llm.openai_style._uploads import beside_loop, form_of
from unified_llm.types.raw import RawChunk, RawRequest, RawResponse

T = TypeVar("T")
SyncPageT = TypeVar("SyncPageT", bound=SyncPage)
AsyncPageT = TypeVar("AsyncPageT", bound=AsyncPage)


@dataclass(frozen=True, slots=True)
class RawCall(Generic[T]):
    """A call of such an endpoint.

    Attributes:
        method: ``GET``, ``POST`` or ``DELETE``.
        path: The path below the version path.
        feature: What the target needs, by its name in the provider table.
        given: The keyword arguments of the call: fields of the query or of the body, and options.
        read: Makes the result of what came back.
        returns: What comes back.
        files: The fields that are files; then the body is a form.
        one_account: Whether the call names what is stored in one account, so that no other target is asked.
        stream: Whether the response is a stream of events.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    feature: str
    given: Mapping[str, Any] = field(repr=False)
    read: Callable[[Any], T]
    returns: Literal["json", "text", "bytes"] = "json"
    files: tuple[str, ...] | None = None
    one_account: bool = True
    stream: bool = False


def path_of(*segments: str, **identifiers: str) -> str:
    """Return a path of fixed segments, and of identifiers where a segment is the name of one.

    Raises:
        BadRequestError: An identifier is empty or no string.
    """
    with family_errors():
        for name, value in identifiers.items():
            if not isinstance(value, str) or not value:
                raise ValidationError(f"{name} must be the identifier, as a string that is not empty.")
    return "".join(f"/{quote(identifiers.get(segment, segment), safe='')}" for segment in segments)


class _RawCalls(Resource):
    def _prepare_raw(self, raw: RawCall[Any]) -> tuple[RawRequest, Call]:
        """Return the request of a call, and what says how to send it.

        Raises:
            ValidationError: An argument makes no sense.
            ConfigurationError: The target of the call lacks a key, a URL or a package.
        """
        body, call = self._read(raw.given, needs_model=False)
        sent: dict[str, Any] = {}
        if raw.method == "GET":
            sent["query"] = body
        elif raw.files is not None:
            sent["form"] = form_of(body, raw.files)
        elif body:
            sent["body"] = plain(body)
        request = RawRequest(
            raw.method,
            raw.path,
            raw.feature,
            **sent,
            returns=raw.returns,
            one_account=raw.one_account,
            stream=raw.stream,
            model=call.model,
        )
        return request, call


class RawCalls(_RawCalls):
    """A resource that makes such calls."""

    def _send(self, raw: RawCall[T]) -> T:
        return self._send_for_headers(raw)[0]

    def _send_for_headers(self, raw: RawCall[T]) -> tuple[T, Mapping[str, str]]:
        with family_errors():
            request, call = self._prepare_raw(raw)
            response: RawResponse = call.client.run_request(request, call.options)
        return _finish(raw, response), response.headers

    def _stream(self, raw: RawCall[T]) -> Stream[T]:
        with family_errors():
            request, call = self._prepare_raw(raw)
        return open_stream(call.client, request, call.options, events_with(raw.read))

    def _list(self, path: str, feature: str, fields: Mapping[str, Any], page: type[SyncPageT]) -> SyncPageT:
        given = Hidden(fields)
        del fields

        def fetch(after: str | None = None) -> SyncPageT:
            from_here = {} if after is None else {"after": after}
            call = RawCall("GET", path, feature, {**given.value, **from_here}, page.from_json)
            with CLEAR_VARIABLES:
                return self._send(call).from_cursor(fetch)

        return fetch()


class AsyncRawCalls(_RawCalls, AsyncResource):
    """A resource that makes such calls, for async callers."""

    async def _send(self, raw: RawCall[T]) -> T:
        return (await self._send_for_headers(raw))[0]

    async def _send_for_headers(self, raw: RawCall[T]) -> tuple[T, Mapping[str, str]]:
        with family_errors():
            if raw.files is None:
                request, call = self._prepare_raw(raw)
            else:
                request, call = await beside_loop(lambda given: self._prepare_raw(replace(raw, given=given)), raw.given)
            response: RawResponse = await call.client.arun_request(request, call.options)
        return _finish(raw, response), response.headers

    async def _stream(self, raw: RawCall[T]) -> AsyncStream[T]:
        with family_errors():
            request, call = self._prepare_raw(raw)
        return await aopen_stream(call.client, request, call.options, events_with(raw.read))

    def _list(
        self, path: str, feature: str, fields: Mapping[str, Any], page: type[AsyncPageT]
    ) -> AsyncPaginator[AsyncPageT]:
        given = Hidden(fields)
        del fields

        async def fetch(after: str | None = None) -> AsyncPageT:
            from_here = {} if after is None else {"after": after}
            call = RawCall("GET", path, feature, {**given.value, **from_here}, page.from_json)
            with CLEAR_VARIABLES:
                return (await self._send(call)).from_cursor(fetch)

        return AsyncPaginator(fetch)


def events_with(read: Callable[[Any], T]) -> Callable[[Any], Iterator[T]]:
    """Return what makes events of the chunks of a stream."""

    def convert(chunk: Any) -> Iterator[T]:
        if isinstance(chunk, RawChunk):
            yield from map(read, event_bodies((chunk.data,)))

    return convert


def _finish(raw: RawCall[T], response: RawResponse) -> T:
    """Make the result of a response, with the record of what served the call where it has a place for that."""
    result = raw.read(response.value)
    return with_record(result, response) if isinstance(result, (OpenAIObject, BinaryContent)) else result
