"""``client.completions``: text completions, by a chat where the target has no text completion."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Unpack, overload

from unified_llm._client import read_request
from unified_llm._client.call_options import CallOptions
from unified_llm._client.client import LLMClient
from unified_llm._core import runtime
from unified_llm._formats.original_body import takes_original
from unified_llm._lib.signatures import show_keywords
from unified_llm.exceptions import ValidationError
from unified_llm.openai_style._call_arguments import CompletionArguments, completion_arguments
from unified_llm.openai_style._completion_objects import CompletionChunks, completion_of
from unified_llm.openai_style._omitted import NOT_GIVEN
from unified_llm.openai_style._plain import plain
from unified_llm.openai_style._prompts import Prompt, read_prompts
from unified_llm.openai_style._resource import (
    AsyncResource,
    Call,
    Resource,
    family_errors,
    read_arguments,
    refuse_unknown,
)
from unified_llm.openai_style._settings import CALL_OPTIONS, Settings
from unified_llm.openai_style._streams import AsyncStream, Stream
from unified_llm.openai_style.types.completion import Completion
from unified_llm.types.messages import Message
from unified_llm.types.requests import LLMRequest, OriginalRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

_SAME: Final = (
    "temperature", "max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty", "n",
)  # fmt: skip
_READ: Final = frozenset({*_SAME, "model", "prompt", "stop", "logprobs", "stream", "stream_options"})
_ARGUMENTS: Final = _READ | CALL_OPTIONS | {"best_of", "echo", "logit_bias", "suffix", "user", "extra_body"}
_ONE_PROMPT: Final = "it cannot complete several prompts at once"


@dataclass(frozen=True, slots=True)
class PreparedCompletion:
    """A call that was read.

    Attributes:
        call: The client, and the options.
        requests: One request for each prompt, or one for all.
        body: The body as the program wrote it.
        started: The instant at which the call began.
    """

    call: Call
    requests: Sequence[LLMRequest]
    body: Mapping[str, Any] = field(repr=False)
    started: float

    @property
    def client(self) -> LLMClient:
        """The client that serves it."""
        return self.call.client

    def answer_of(self, responses: Sequence[LLMResponse]) -> Completion:
        """Return the answer, made of the responses to the requests."""
        return completion_of(responses)

    @property
    def options(self) -> CallOptions:
        """The options of the next request, which has what is left of the deadline."""
        options = self.call.options
        if options.deadline is None or len(self.requests) == 1:
            return options
        passed = runtime.current().now() - self.started
        return replace(options, deadline=max(options.deadline - passed, 0.001))

    def chunks(self, model: Callable[[], str | None]) -> CompletionChunks:
        """Return what makes the chunks of its stream."""
        wants_usage = bool((self.body.get("stream_options") or {}).get("include_usage"))
        prompts = len(self.requests)
        return CompletionChunks(model, wants_usage=wants_usage, prompts=prompts, choices=self.body.get("n") or 1)


def prepare_completion(settings: Settings, given: Mapping[str, Any]) -> PreparedCompletion:
    """Read the arguments of a call.

    Raises:
        ValidationError: An argument makes no sense.
    """
    started = runtime.current().now()
    refuse_unknown(given, _ARGUMENTS)
    prompts = read_prompts(given.get("prompt"))
    arguments = {**given, "prompt": _prompt_of(prompts)} if "prompt" in given else given
    body, call = read_arguments(settings, arguments, chat=True)
    body = plain(body)
    requests = [_read_request(body, call, prompts)]
    if len(prompts) > 1 and not _is_one_request(call, requests[0]):
        requests = [_read_request({**body, "prompt": prompt.value}, call, [prompt]) for prompt in prompts]
    return PreparedCompletion(call, requests, body, started)


class _Shared(Resource):
    """Base of the sync and the async resource."""

    PATH = "completions"


class Completions(_Shared):
    """Text completions."""

    @overload
    def create(self, *, stream: Literal[False] | None = None, **given: Unpack[CompletionArguments]) -> Completion: ...

    @overload
    def create(self, *, stream: Literal[True], **given: Unpack[CompletionArguments]) -> Stream[Completion]: ...

    @overload
    def create(self, *, stream: bool, **given: Unpack[CompletionArguments]) -> Any: ...

    @show_keywords(completion_arguments)
    def create(self, *, stream: Any = NOT_GIVEN, **given: Any) -> Any:
        """Continue a text.

        A target without text completion gets the prompt as a message of a chat; one with ``suffix``, ``echo``,
        ``best_of`` or ``logprobs`` skips such targets. Several prompts are one request where the client has one target
        with text completion, else one request each, so that each can fail over.

        Args:
            **given: ``model``, ``prompt`` (a string, a list of strings, or tokens in a list or in several), ``stream``,
                the other fields of OpenAI's API, and the options of a call.

        Returns:
            A ``Completion``, or with ``stream=True`` an iterator of chunks.

        Raises:
            OpenAIError: No target completed the text.
        """
        with family_errors():
            prepared = prepare_completion(self._settings, {**given, "stream": stream})
            client = prepared.client
            if not prepared.body.get("stream"):
                return completion_of([client.run(request, prepared.options) for request in prepared.requests])
            inner = _StreamsInOrder(prepared)
            return Stream(inner, prepared.chunks(lambda: inner.model).write)


class AsyncCompletions(_Shared, AsyncResource):
    """The same as ``Completions``, with async methods."""

    @overload
    async def create(
        self, *, stream: Literal[False] | None = None, **given: Unpack[CompletionArguments]
    ) -> Completion: ...

    @overload
    async def create(
        self, *, stream: Literal[True], **given: Unpack[CompletionArguments]
    ) -> AsyncStream[Completion]: ...

    @overload
    async def create(self, *, stream: bool, **given: Unpack[CompletionArguments]) -> Any: ...

    @show_keywords(completion_arguments)
    async def create(self, *, stream: Any = NOT_GIVEN, **given: Any) -> Any:
        """Do the same as ``Completions.create``."""
        with family_errors():
            prepared = prepare_completion(self._settings, {**given, "stream": stream})
            if not prepared.body.get("stream"):
                client = prepared.client
                return completion_of([await client.arun(request, prepared.options) for request in prepared.requests])
            inner = _AsyncStreamsInOrder(prepared)
            return await AsyncStream.open(inner, prepared.chunks(lambda: inner.model).write)


def _prompt_of(prompts: Sequence[Prompt]) -> Any:
    """Return the prompts as the body has them: iterables as lists."""
    return prompts[0].value if len(prompts) == 1 else [prompt.value for prompt in prompts]


def _read_request(body: Mapping[str, Any], call: Call, prompts: Sequence[Prompt]) -> LLMRequest:
    """Return the request for a prompt, or for several that one request completes.

    Raises:
        ValidationError: A value cannot be right.
    """
    logprobs = body.get("logprobs")
    if isinstance(logprobs, bool):
        raise ValidationError("logprobs of a text completion is a number of alternatives, 0 to 5.")
    no_other_form = prompts[0].no_other_form if len(prompts) == 1 else _ONE_PROMPT
    sampling: dict[str, Any] = {name: body.get(name) for name in _SAME}
    request = LLMRequest(
        (Message("user", prompts[0].text),),
        call.model,
        stop=read_request.read_stop(body.get("stop")),
        logprobs=None if logprobs is None else True,
        top_logprobs=logprobs,
        as_text="preferred",
        extra_body={name: value for name, value in body.items() if name not in _READ and value is not None},
        original=OriginalRequest("openai_completion", body, no_other_form),
        **sampling,
    )
    read_request.check(request)
    return replace(request, stream=True) if body.get("stream") else request


def _is_one_request(call: Call, request: LLMRequest) -> bool:
    """Return whether the only target of a call completes several prompts at once."""
    targets = call.client.targets_of_call(call.model, call.options)
    return len(targets) == 1 and takes_original(request, targets[0])


class _PromptStreams:
    """The streams of several prompts, one after the other: the part that needs no waiting."""

    def __init__(self, prepared: PreparedCompletion) -> None:
        self._prepared = prepared
        self._left = [*prepared.requests]
        self._stream: Any = None

    @property
    def model(self) -> str | None:
        """The model that answers."""
        model: str | None = self._stream.model if self._stream is not None else None
        return model


class _StreamsInOrder(_PromptStreams):
    """The streams of several prompts, for sync callers."""

    def __iter__(self) -> Iterator[LLMChunk]:
        """Return itself."""
        return self

    def __next__(self) -> LLMChunk:
        """Return the next chunk of the stream that is read, or the first one of the next stream."""
        while True:
            chunk: LLMChunk | None = None if self._stream is None else next(self._stream, None)
            if chunk is not None:
                return chunk
            if not self._left:
                raise StopIteration
            request = self._left.pop(0)
            self._stream = self._prepared.call.client.open_stream(request, self._prepared.options)

    def close(self) -> None:
        """Close the stream that is read; no other is begun."""
        self._left.clear()
        if self._stream is not None:
            self._stream.close()


class _AsyncStreamsInOrder(_PromptStreams):
    """The streams of several prompts, for async callers."""

    def __aiter__(self) -> AsyncIterator[LLMChunk]:
        """Return itself."""
        return self

    async def __anext__(self) -> LLMChunk:
        """Return the next chunk of the stream that is read, or the first one of the next stream."""
        while True:
            chunk: LLMChunk | None = None if self._stream is None else await anext(self._stream, None)
            if chunk is not None:
                return chunk
            if not self._left:
                raise StopAsyncIteration
            request = self._left.pop(0)
            self._stream = self._prepared.call.client.aopen_stream(request, self._prepared.options)

    async def aclose(self) -> None:
        """Close the stream that is read; no other is begun."""
        self._left.clear()
        if self._stream is not None:
            await self._stream.aclose()
