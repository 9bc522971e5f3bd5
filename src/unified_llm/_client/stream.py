"""What ``LLMClient.stream`` and ``astream`` return: something to iterate, to look at, and to close."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from unified_llm._client import errors
from unified_llm._client.call import PreparedCall
from unified_llm._client.drivers import END, AsyncDrive, Drive, finish_without_loop
from unified_llm._core.outcome import Done
from unified_llm._lib import attempt_table
from unified_llm._observe import logs
from unified_llm._observe.otel import AsyncWatchedDrive, WatchedDrive
from unified_llm._policy.call_state import CallFailed
from unified_llm.exceptions import LLMError
from unified_llm.types.records import Attempt, Usage
from unified_llm.types.responses import LLMChunk


class _Streaming:
    """What both kinds share: the text so far, and the way to the last chunk or the error."""

    def __init__(self, question: PreparedCall) -> None:
        self._question = question
        self._trace = question.policy.trace
        self._texts: list[str] = []
        self._usage: Usage | None = None

    @property
    def partial(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt that has ended so far."""
        return tuple(self._trace.attempts)

    def __repr__(self) -> str:
        """Nothing of the answer."""
        return f"<{type(self).__name__} of {len(self._texts)} chunks so far>"

    def _repr_html_(self) -> str:
        """What a notebook shows: nothing of the answer either."""
        return attempt_table.stream(type(self).__name__, len(self._texts), self.attempts)

    def _take(self, value: Any) -> LLMChunk:
        chunk: LLMChunk = value.value if type(value) is Done else value
        if chunk.content:
            self._texts.append(chunk.content)
        if chunk.usage:
            self._usage = chunk.usage
        if type(value) is not Done:
            return chunk
        policy = self._question.policy
        logs.log_answer(self._trace, chunk.usage, policy.now() - self._question.started)
        served = self._trace.served
        return replace(
            chunk,
            attempts=(attempts := self.attempts),
            request_id=attempts[-1].request_id if attempts else None,
            provider=chunk.provider or (served.provider if served else None),
            model=chunk.model or (served.model if served else None),
            used_fallback=self._question.used_fallback,
        )

    def _error(self, defeat: CallFailed) -> LLMError:
        if defeat.committed:
            return errors.interrupted(defeat, self.attempts, self.partial, self._usage)
        return errors.from_defeat(defeat, self.attempts, self._question.deadline)


class Stream(_Streaming):
    """Chunks of an answer, for synchronous callers. Nothing is sent before the first chunk is asked for."""

    def __init__(self, drive: Drive | WatchedDrive, question: PreparedCall) -> None:
        """Made by ``LLMClient.stream``."""
        super().__init__(question)
        self._drive = drive

    def __iter__(self) -> Self:
        """Itself: a stream is read once."""
        return self

    def __next__(self) -> LLMChunk:
        """The next chunk.

        Raises:
            StreamInterruptedError: The stream broke after its first chunk.
            LLMError: No target answered.
        """
        value = self._drive.advance()
        if value is not END:
            return self._take(value)
        defeat, self._drive.defeat = self._drive.defeat, None
        if defeat is None:
            raise StopIteration
        raise self._error(defeat)

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._drive.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __del__(self) -> None:
        """A stream that nobody holds any more gives its connection back."""
        if drive := getattr(self, "_drive", None):
            drive.close()


class AsyncStream(_Streaming):
    """Chunks of an answer, for asynchronous callers. Nothing is sent before the first chunk is asked for."""

    def __init__(self, drive: AsyncDrive | AsyncWatchedDrive, question: PreparedCall) -> None:
        """Made by ``LLMClient.astream``."""
        super().__init__(question)
        self._drive = drive

    def __aiter__(self) -> Self:
        """Itself: a stream is read once."""
        return self

    async def __anext__(self) -> LLMChunk:
        """The next chunk.

        Raises:
            StreamInterruptedError: The stream broke after its first chunk.
            LLMError: No target answered.
        """
        value = await self._drive.advance()
        if value is not END:
            return self._take(value)
        defeat, self._drive.defeat = self._drive.defeat, None
        if defeat is None:
            raise StopAsyncIteration
        raise self._error(defeat)

    async def aclose(self) -> None:
        """Stop, and give the connection back."""
        await self._drive.close()

    async def __aenter__(self) -> Self:
        """Close at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    def __del__(self) -> None:
        """A stream that nobody holds any more gives its connection back, without waiting for anything."""
        if drive := getattr(self, "_drive", None):
            finish_without_loop(drive.close)
