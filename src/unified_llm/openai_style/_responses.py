"""``client.responses``: the Responses API, at targets that have it and at any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal, overload

from unified_llm._client.call_options import CallOptions
from unified_llm._client.client import LLMClient
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._formats.original_body import APIS
from unified_llm.openai_style._omitted import NOT_GIVEN, is_omitted
from unified_llm.openai_style._plain import plain
from unified_llm.openai_style._resource import AsyncResource, Resource, family_errors, read_arguments, refuse_unknown
from unified_llm.openai_style._responses_events import EventWriter
from unified_llm.openai_style._responses_input import read_request
from unified_llm.openai_style._responses_output import response_of
from unified_llm.openai_style._responses_parse import parse_response, read_wanted
from unified_llm.openai_style._responses_stream import AsyncResponseStream, ResponseStream
from unified_llm.openai_style._settings import CALL_OPTIONS, Settings
from unified_llm.openai_style._stored_responses import (
    AsyncInputItems,
    AsyncStoredResponses,
    InputItems,
    StoredResponses,
    count_call,
)
from unified_llm.openai_style._streams import AsyncStream, AsyncStreamOpener, Stream, StreamOpener
from unified_llm.openai_style.types.responses.input_token_count_response import InputTokenCountResponse
from unified_llm.openai_style.types.responses.parsed_response import ParsedResponse
from unified_llm.openai_style.types.responses.response import Response
from unified_llm.openai_style.types.responses.response_stream_event import ResponseStreamEvent
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMResponse

_API: Final = "responses"
# The arguments of ``responses.create`` in OpenAI's SDK, besides ``extra_headers`` and the like.
_FIELDS: Final = frozenset({
    "background", "context_management", "conversation", "include", "input", "instructions", "max_output_tokens",
    "max_tool_calls", "metadata", "model", "moderation", "parallel_tool_calls", "previous_response_id", "prompt",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier",
    "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice", "tools",
    "top_logprobs", "top_p", "truncation", "user",
})  # fmt: skip
_ARGUMENTS: Final = _FIELDS | CALL_OPTIONS | {"extra_body"}


class PreparedResponse:
    """A call that was read: its client, its request, and its body, which the answer repeats in part."""

    __slots__ = ("body", "client", "options", "request")

    def __init__(self, client: LLMClient, options: CallOptions, request: LLMRequest, body: Mapping[str, Any]) -> None:
        self.client, self.options, self.request, self.body = client, options, request, body

    @property
    def requests(self) -> tuple[LLMRequest]:
        """The one request that it sends."""
        return (self.request,)

    def answer_of(self, responses: Sequence[LLMResponse]) -> Response:
        """Return the answer, made of the response to the request."""
        return response_of(responses[0], self.body)

    def writer(self, stream: Any) -> EventWriter:
        """Return what makes the events of a stream of the client."""
        return EventWriter(self.body, lambda: stream.model)

    @property
    def has_api(self) -> bool:
        """Whether the first target has the Responses API."""
        return self.client.targets_of_call(self.request.model, self.options)[0].format in APIS["openai_responses"]


def prepare_response(settings: Settings, given: Hidden[dict[str, Any]]) -> PreparedResponse:
    """Read the arguments of a call.

    Raises:
        OpenAIError: One of them is unknown or wrong, or the target lacks a key, a URL or a package.
    """
    with family_errors():
        refuse_unknown(given.value, _ARGUMENTS)
        body, call = read_arguments(settings, given.value, chat=True, api=_API)
        body = plain(body)
        return PreparedResponse(call.client, call.options, read_request(body, call.model), body)


class _Shared(Resource):
    """Base of the sync and the async resource."""

    PATH = "responses"


class InputTokens(_Shared):
    """The tokens of an input."""

    PATH = "responses.input_tokens"

    def count(self, **fields: Any) -> InputTokenCountResponse:
        """Count the tokens that a request would send, by the provider's own count.

        Args:
            **fields: As for ``responses.create``.

        Raises:
            UnsupportedOperationError: No target can count.
        """
        call = prepare_response(self._settings, Hidden(fields))
        with family_errors():
            if call.has_api:
                raw = call.client.run_request(count_call(call.body, call.request), call.options)
                return InputTokenCountResponse.from_json(raw.value)
            tokens = call.client.run_count(call.request, call.options)
        return InputTokenCountResponse(object="response.input_tokens", input_tokens=tokens)


class AsyncInputTokens(_Shared, AsyncResource):
    """The same as ``InputTokens``, with async methods."""

    PATH = "responses.input_tokens"

    async def count(self, **fields: Any) -> InputTokenCountResponse:
        """Do the same as ``InputTokens.count``."""
        call = prepare_response(self._settings, Hidden(fields))
        with family_errors():
            if call.has_api:
                raw = await call.client.arun_request(count_call(call.body, call.request), call.options)
                return InputTokenCountResponse.from_json(raw.value)
            tokens = await call.client.arun_count(call.request, call.options)
        return InputTokenCountResponse(object="response.input_tokens", input_tokens=tokens)


class Responses(_Shared, StoredResponses):
    """Responses of any target, and those that the client's provider stored."""

    @cached_property
    def input_items(self) -> InputItems:
        """The input of stored responses."""
        return InputItems(self._settings)

    @cached_property
    def input_tokens(self) -> InputTokens:
        """The tokens of an input."""
        return InputTokens(self._settings)

    @overload
    def create(self, *, stream: Literal[False] | None = None, **fields: Any) -> Response: ...
    @overload
    def create(self, *, stream: Literal[True], **fields: Any) -> Stream[ResponseStreamEvent]: ...
    @overload
    def create(self, *, stream: bool, **fields: Any) -> Response | Stream[ResponseStreamEvent]: ...
    def create(self, **fields: Any) -> Any:
        """Answer an input.

        A target that has the Responses API gets the request as it is written. Any other gets the input as a
        conversation; what only OpenAI's API can do (``previous_response_id``, ``conversation``, ``background``, stored
        prompts, tools that OpenAI runs) is refused there, and in failover such a target is skipped.

        Args:
            **fields: The arguments of OpenAI's SDK: ``input``, ``model``, ``instructions``, ``tools``, ``text``,
                ``reasoning``, ``stream`` ...; ``extra_body``, ``extra_headers``, ``extra_query`` and ``timeout``; and
                of this package ``fallbacks``, ``deadline``, ``hedge_after``, ``failover_on``, ``max_retries``,
                ``api_key`` and ``base_url``.

        Returns:
            The response; with ``stream=True`` its events, the first of which has come.

        Raises:
            OpenAIError: The request is wrong, or no target answered.
        """
        return self._create(Hidden(fields))

    def _create(self, given: Hidden[dict[str, Any]]) -> Any:
        call = prepare_response(self._settings, given)
        if call.request.stream:
            with family_errors():
                stream = call.client.open_stream(call.request, call.options)
            return Stream(stream, call.writer(stream).write)
        with family_errors():
            response = call.client.run(call.request, call.options)
        return response_of(response, call.body)

    def parse(self, **fields: Any) -> ParsedResponse[Any]:
        """Answer an input, and read the answer as an object of a class.

        Args:
            **fields: As for ``create``. ``text_format`` is a Pydantic model or a dataclass: the answer is asked for by
                its schema, and is ``output_parsed``. Calls of functions with ``strict`` have ``parsed_arguments``.

        Raises:
            OpenAIError: As for ``create``.
            pydantic.ValidationError: The answer does not fit the class.
        """
        given = Hidden(fields)
        with family_errors():
            wanted = read_wanted(given.value)
            response = self._create(Hidden({**given.value, "stream": NOT_GIVEN}))
            return parse_response(response, wanted)

    def stream(self, **fields: Any) -> StreamOpener[ResponseStream]:
        """Answer an input in events; to be used in a ``with`` statement, which sends the request.

        Args:
            **fields: As for ``parse``. With ``response_id``, the events of a stored response are read instead;
                ``starting_after`` is the number of the last event that is left out.
        """
        given = Hidden(fields)
        with family_errors():
            wanted = read_wanted(given.value)
        identifier, after = _resumed(given.value)

        def send() -> ResponseStream:
            with CLEAR_VARIABLES:
                if identifier is not None:
                    events = self.retrieve(identifier, stream=True, **given.value)
                else:
                    events = self._create(Hidden({**given.value, "stream": True}))
                return ResponseStream(events, wanted, after)

        return StreamOpener(send)


class AsyncResponses(_Shared, AsyncStoredResponses):
    """The same as ``Responses``, with async methods."""

    @cached_property
    def input_items(self) -> AsyncInputItems:
        """The input of stored responses."""
        return AsyncInputItems(self._settings)

    @cached_property
    def input_tokens(self) -> AsyncInputTokens:
        """The tokens of an input."""
        return AsyncInputTokens(self._settings)

    @overload
    async def create(self, *, stream: Literal[False] | None = None, **fields: Any) -> Response: ...
    @overload
    async def create(self, *, stream: Literal[True], **fields: Any) -> AsyncStream[ResponseStreamEvent]: ...
    @overload
    async def create(self, *, stream: bool, **fields: Any) -> Response | AsyncStream[ResponseStreamEvent]: ...
    async def create(self, **fields: Any) -> Any:
        """Do the same as ``Responses.create``."""
        return await self._create(Hidden(fields))

    async def _create(self, given: Hidden[dict[str, Any]]) -> Any:
        call = prepare_response(self._settings, given)
        if call.request.stream:
            with family_errors():
                stream = call.client.aopen_stream(call.request, call.options)
            return await AsyncStream.open(stream, call.writer(stream).write)
        with family_errors():
            response = await call.client.arun(call.request, call.options)
        return response_of(response, call.body)

    async def parse(self, **fields: Any) -> ParsedResponse[Any]:
        """Do the same as ``Responses.parse``."""
        given = Hidden(fields)
        with family_errors():
            wanted = read_wanted(given.value)
            response = await self._create(Hidden({**given.value, "stream": NOT_GIVEN}))
            return parse_response(response, wanted)

    def stream(self, **fields: Any) -> AsyncStreamOpener[AsyncResponseStream]:
        """Do the same as ``Responses.stream``; to be used in ``async with``."""
        given = Hidden(fields)
        with family_errors():
            wanted = read_wanted(given.value)
        identifier, after = _resumed(given.value)

        async def send() -> AsyncResponseStream:
            with CLEAR_VARIABLES:
                if identifier is not None:
                    events = await self.retrieve(identifier, stream=True, **given.value)
                else:
                    events = await self._create(Hidden({**given.value, "stream": True}))
                return AsyncResponseStream(events, wanted, after)

        return AsyncStreamOpener(send)


def _resumed(given: dict[str, Any]) -> tuple[str | None, int | None]:
    """Take the stored response whose events are read, and the number after which they begin, out of the arguments."""
    values = [given.pop(name, None) for name in ("response_id", "starting_after")]
    identifier, after = (None if is_omitted(value) else value for value in values)
    return identifier, after
