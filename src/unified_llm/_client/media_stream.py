"""``MediaStream`` and ``AsyncMediaStream``: images as they are drawn, audio and texts as they arrive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, TypeVar, cast

from unified_llm._client.call import PreparedCall, finish_further
from unified_llm._client.drivers import AsyncDriver, Driver, Step
from unified_llm._client.steps import AsyncSteps, ChunkT, StepReader, SyncSteps
from unified_llm._core.hidden import CLEAR_VARIABLES
from unified_llm._core.outcome import Done
from unified_llm._core.redaction import show_chain
from unified_llm._lib.short_repr import count, short_repr
from unified_llm._policy.call_state import CallFailed
from unified_llm.exceptions import ValidationError
from unified_llm.types.media import TranscriptionChunk
from unified_llm.types.media_requests import ImageRequest, SpeechRequest, TranscriptionRequest
from unified_llm.types.records import Attempt

ResponseT = TypeVar("ResponseT")
_METHODS: Final[Mapping[type, str]] = {
    ImageRequest: "stream_image",
    SpeechRequest: "stream_speech",
    TranscriptionRequest: "stream_transcription",
}


class _MediaReader(StepReader[ChunkT], Generic[ChunkT, ResponseT]):
    """The way to the response or to the error: the part that needs no waiting."""

    def __init__(self, call: PreparedCall) -> None:
        self._call = call
        self._trace = call.state.trace
        self._chunks = 0
        self._texts: list[str] = []
        self._response: ResponseT | None = None
        self._method = _METHODS.get(type(call.request), "stream")

    @property
    def response(self) -> ResponseT | None:
        """The response, once the stream has ended; None before that. The audio of a stream is in its chunks alone."""
        return self._response

    @property
    def partial(self) -> str:
        """The text so far, of a transcription."""
        return "".join(self._texts)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt that has ended so far."""
        return tuple(self._trace.attempts)

    def __repr__(self) -> str:
        """Show the targets and the number of chunks; nothing of their content."""
        return short_repr(self, self._facts())

    def _facts(self) -> Iterator[str]:
        yield show_chain(target.name for target in self._call.chain)
        yield f"{count(self._chunks, 'chunk') or 'nothing'} so far"

    def _check_unread(self) -> None:
        if self._over:
            raise ValidationError(
                f"This stream was already read, or closed: call {self._method}() again, or keep its chunks in a list."
            )

    def _read(self, step: Step) -> ChunkT | None:
        """Return the chunk of a step; None at the end.

        Raises:
            StreamInterruptedError: The stream broke after its first chunk.
            LLMError: No target answered.
        """
        if isinstance(step, (Done, CallFailed)):
            self._end(step)
            return None
        self._chunks += 1
        if isinstance(step, TranscriptionChunk):
            self._texts.append(step.text)
        return cast("ChunkT", step)

    def _end(self, step: Done | CallFailed) -> None:
        self._over = True
        if isinstance(step, CallFailed):
            with CLEAR_VARIABLES:
                raise self._call.error(step, self.partial)
        response: Any = step.value
        self._call.log_end(getattr(response, "usage", None))
        self._response = finish_further(self._call, response)


class MediaStream(_MediaReader[ChunkT, ResponseT], SyncSteps[ChunkT]):
    """Chunks of media, for sync callers. Nothing is sent before the first chunk is asked for."""

    def __init__(self, driver: Driver, call: PreparedCall) -> None:
        super().__init__(call)
        self._driver = driver


class AsyncMediaStream(_MediaReader[ChunkT, ResponseT], AsyncSteps[ChunkT]):
    """Chunks of media, for async callers. Nothing is sent before the first chunk is asked for."""

    def __init__(self, driver: AsyncDriver, call: PreparedCall) -> None:
        super().__init__(call)
        self._driver = driver
