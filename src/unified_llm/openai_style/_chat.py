"""``client.chat.completions``: chat completions of any target, whole, streamed, and parsed to objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal, Unpack, overload

from unified_llm._client.call_options import CallOptions
from unified_llm._client.client import LLMClient
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._formats.custom_tools import custom_names
from unified_llm._lib.signatures import show_keywords
from unified_llm.openai_style._chat_chunks import ChunkWriter
from unified_llm.openai_style._chat_fields import ChatArguments, all_chat_arguments
from unified_llm.openai_style._chat_objects import AnswerForm, completion_of
from unified_llm.openai_style._chat_request import CHAT_FIELDS, read_chat
from unified_llm.openai_style._chat_stream import AsyncChatCompletionStream, ChatCompletionStream
from unified_llm.openai_style._parse import Wanted, parse_completion, read_wanted
from unified_llm.openai_style._resource import AsyncResource, Resource, family_errors, read_arguments, refuse_unknown
from unified_llm.openai_style._settings import CALL_OPTIONS, Settings
from unified_llm.openai_style._stored_completions import AsyncStoredCompletions, StoredCompletions
from unified_llm.openai_style._streams import AsyncStream, AsyncStreamOpener, Stream, StreamOpener
from unified_llm.openai_style.types.chat.chat_completion import ChatCompletion
from unified_llm.openai_style.types.chat.chat_completion_chunk import ChatCompletionChunk
from unified_llm.openai_style.types.chat.parsed_chat_completion import ParsedChatCompletion
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMResponse

_ARGUMENTS = CHAT_FIELDS | CALL_OPTIONS | {"extra_body"}


class PreparedChat:
    """A call that was read: its client, its request, and how its answer is written."""

    __slots__ = ("client", "form", "options", "request", "wants_usage")

    def __init__(self, client: LLMClient, options: CallOptions, request: LLMRequest, body: dict[str, Any]) -> None:
        self.client, self.options, self.request = client, options, request
        uses_functions = bool(body.get("functions")) and not body.get("tools")
        self.form = AnswerForm(uses_functions, custom_names(request.tools))
        self.wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))

    @property
    def requests(self) -> tuple[LLMRequest]:
        """The one request that it sends."""
        return (self.request,)

    def answer_of(self, responses: Sequence[LLMResponse]) -> ChatCompletion:
        """Return the answer, made of the response to the request."""
        return completion_of(responses[0], self.form)

    def writer(self, stream: Any) -> ChunkWriter:
        """Return what makes the chunks of a stream of the client."""
        return ChunkWriter(lambda: stream.model, wants_usage=self.wants_usage, form=self.form)


def prepare_chat(settings: Settings, given: Hidden[dict[str, Any]], wanted: Wanted | None = None) -> PreparedChat:
    """Read the arguments of a call.

    Raises:
        OpenAIError: One of them is unknown or wrong, or the target lacks a key, a URL or a package.
    """
    with family_errors():
        refuse_unknown(given.value, _ARGUMENTS)
        body, call = read_arguments(settings, given.value, chat=True)
        request = read_chat(body, call.model, wanted and wanted.check)
        return PreparedChat(call.client, call.options, request, body)


class _Shared(Resource):
    """Base of the sync and the async resource."""

    PATH = "chat.completions"


class Completions(_Shared, StoredCompletions):
    """Chat completions, and those that a provider stored."""

    @overload
    def create(
        self,
        *,
        messages: Iterable[Any],
        model: str = ...,
        stream: Literal[False] | None = None,
        **fields: Unpack[ChatArguments],
    ) -> ChatCompletion: ...
    @overload
    def create(
        self, *, messages: Iterable[Any], model: str = ..., stream: Literal[True], **fields: Unpack[ChatArguments]
    ) -> Stream[ChatCompletionChunk]: ...
    @overload
    def create(
        self, *, messages: Iterable[Any], model: str = ..., stream: bool, **fields: Unpack[ChatArguments]
    ) -> ChatCompletion | Stream[ChatCompletionChunk]: ...
    @show_keywords(all_chat_arguments)
    def create(self, **fields: Any) -> Any:
        """Answer a conversation.

        Args:
            **fields: The arguments of OpenAI's SDK: ``messages``, ``model``, ``stream``, ``tools``, ``temperature``
                ...; ``extra_body``, ``extra_headers``, ``extra_query`` and ``timeout``; and of this package
                ``fallbacks``, ``deadline``, ``hedge_after``, ``failover_on``, ``max_retries``, ``api_key`` and
                ``base_url``. The ``model`` may name a provider: ``anthropic/claude-haiku-4-5``.

        Returns:
            The completion; with ``stream=True`` its chunks, the first of which has come.

        Raises:
            OpenAIError: The request is wrong, or no target answered.
        """
        return self._create(Hidden(fields))

    def _create(self, given: Hidden[dict[str, Any]], wanted: Wanted | None = None) -> Any:
        call = prepare_chat(self._settings, given, wanted)
        if call.request.stream:
            with family_errors():
                stream = call.client.open_stream(call.request, call.options)
            return Stream(stream, call.writer(stream).write)
        with family_errors():
            response = call.client.run(call.request, call.options)
        return completion_of(response, call.form)

    @show_keywords(all_chat_arguments)
    def parse(
        self, *, messages: Iterable[Any], model: str | None = None, **fields: Unpack[ChatArguments]
    ) -> ParsedChatCompletion[Any]:
        """Answer a conversation, and parse the answer to a class.

        Args:
            **fields: As for ``create``. ``response_format`` may be a Pydantic model or a dataclass: the answer is asked
                for by its schema, and is in ``choices[0].message.parsed``. Tools are those of
                ``pydantic_function_tool``, or have ``strict``; calls of them have ``function.parsed_arguments``.

        Raises:
            OpenAIError: As for ``create``; ``LengthFinishReasonError`` where the answer was cut.
            pydantic.ValidationError: The answer does not fit the class.
        """
        given = Hidden({"messages": messages, "model": model, **fields})
        with family_errors():
            wanted = read_wanted(given.value, strict_tools=True)
            completion = self._create(Hidden({**given.value, "stream": False}), wanted)
            return parse_completion(completion, wanted)

    @show_keywords(all_chat_arguments)
    def stream(
        self, *, messages: Iterable[Any], model: str | None = None, **fields: Unpack[ChatArguments]
    ) -> StreamOpener[ChatCompletionStream]:
        """Answer a conversation in events; to be used in a ``with`` statement, which sends the request.

        Args:
            **fields: As for ``parse``.
        """
        given = Hidden({"messages": messages, "model": model, **fields})
        with family_errors():
            wanted = read_wanted(given.value, strict_tools=False)

        def send() -> ChatCompletionStream:
            with CLEAR_VARIABLES:
                return ChatCompletionStream(self._create(Hidden({**given.value, "stream": True}), wanted), wanted)

        return StreamOpener(send)


class AsyncCompletions(_Shared, AsyncStoredCompletions):
    """The same as ``Completions``, with async methods."""

    @overload
    async def create(
        self,
        *,
        messages: Iterable[Any],
        model: str = ...,
        stream: Literal[False] | None = None,
        **fields: Unpack[ChatArguments],
    ) -> ChatCompletion: ...
    @overload
    async def create(
        self, *, messages: Iterable[Any], model: str = ..., stream: Literal[True], **fields: Unpack[ChatArguments]
    ) -> AsyncStream[ChatCompletionChunk]: ...
    @overload
    async def create(
        self, *, messages: Iterable[Any], model: str = ..., stream: bool, **fields: Unpack[ChatArguments]
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...
    @show_keywords(all_chat_arguments)
    async def create(self, **fields: Any) -> Any:
        """Do the same as ``Completions.create``."""
        return await self._create(Hidden(fields))

    async def _create(self, given: Hidden[dict[str, Any]], wanted: Wanted | None = None) -> Any:
        call = prepare_chat(self._settings, given, wanted)
        if call.request.stream:
            with family_errors():
                stream = call.client.aopen_stream(call.request, call.options)
            return await AsyncStream.open(stream, call.writer(stream).write)
        with family_errors():
            response = await call.client.arun(call.request, call.options)
        return completion_of(response, call.form)

    @show_keywords(all_chat_arguments)
    async def parse(
        self, *, messages: Iterable[Any], model: str | None = None, **fields: Unpack[ChatArguments]
    ) -> ParsedChatCompletion[Any]:
        """Do the same as ``Completions.parse``."""
        given = Hidden({"messages": messages, "model": model, **fields})
        with family_errors():
            wanted = read_wanted(given.value, strict_tools=True)
            completion = await self._create(Hidden({**given.value, "stream": False}), wanted)
            return parse_completion(completion, wanted)

    @show_keywords(all_chat_arguments)
    def stream(
        self, *, messages: Iterable[Any], model: str | None = None, **fields: Unpack[ChatArguments]
    ) -> AsyncStreamOpener[AsyncChatCompletionStream]:
        """Do the same as ``Completions.stream``; to be used in ``async with``."""
        given = Hidden({"messages": messages, "model": model, **fields})
        with family_errors():
            wanted = read_wanted(given.value, strict_tools=False)

        async def send() -> AsyncChatCompletionStream:
            with CLEAR_VARIABLES:
                chunks = await self._create(Hidden({**given.value, "stream": True}), wanted)
                return AsyncChatCompletionStream(chunks, wanted)

        return AsyncStreamOpener(send)


class Chat(Resource):
    """``client.chat``."""

    PATH = "chat"

    @cached_property
    def completions(self) -> Completions:
        """Chat completions."""
        return Completions(self._settings)


class AsyncChat(AsyncResource):
    """``client.chat`` of an async client."""

    PATH = "chat"

    @cached_property
    def completions(self) -> AsyncCompletions:
        """Chat completions."""
        return AsyncCompletions(self._settings)


class Beta(Resource):
    """``client.beta``, under which older programs find ``chat.completions.parse``."""

    PATH = "beta"

    @cached_property
    def chat(self) -> Chat:
        """Chat completions, as in ``client.chat``."""
        return Chat(self._settings)


class AsyncBeta(AsyncResource):
    """``client.beta`` of an async client."""

    PATH = "beta"

    @cached_property
    def chat(self) -> AsyncChat:
        """Chat completions, as in ``client.chat``."""
        return AsyncChat(self._settings)
