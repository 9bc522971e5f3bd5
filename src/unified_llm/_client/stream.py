"""``Stream`` and ``AsyncStream``: iterators of chunks with ``.partial``, ``.attempts`` and a way to close them."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Self, cast

from unified_llm._backends.objects.finalize import finish_without_loop
from unified_llm._client.call import PreparedCall
from unified_llm._client.drivers import AsyncDriver, Driver, Step
from unified_llm._client.stream_misuse import AsyncOnly, SyncOnly
from unified_llm._core.hidden import CLEAR_VARIABLES
from unified_llm._core.outcome import Done
from unified_llm._core.redaction import show_chain
from unified_llm._core.response_limits import CHUNK_COST, response_limits
from unified_llm._lib.short_repr import count, short_repr
from unified_llm._observe import logs
from unified_llm._policy.call_state import CallFailed
from unified_llm.exceptions import ValidationError
from unified_llm.types.records import Attempt, Usage
from unified_llm.types.responses import LLMChunk


class _ChunkReader:
    """The text so far, and the way to the last chunk or to the error: the part that needs no waiting."""

    def __init__(self, call: PreparedCall) -> None:
        self._call = call
        self._trace = call.state.trace
        self._texts: list[str] = []
        # Responses over HTTP end at that size. The stream of an object that the user gave goes on, but is not kept.
        self._bytes_left = max(response_limits(call.request, target).size for target in call.chain)
        self._chunks = 0
        self._has_other_output = False  # tool calls, or a refusal
        self._usage: Usage | None = None
        self._over = False

    @property
    def partial(self) -> str:
        """The text so far, as far as it fits into ``max_response_bytes``."""
        return "".join(self._texts)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt that has ended so far."""
        return tuple(self._trace.attempts)

    def __repr__(self) -> str:
        """Show the targets and the number of chunks; no text."""
        chain = show_chain(target.name for target in self._call.chain)
        return short_repr(self, [chain, f"{count(self._chunks, 'chunk') or 'nothing'} so far"])

    def _repr_html_(self) -> str:
        """Show the text so far and the attempts in a notebook."""
        from unified_llm._lib import attempt_table  # here, because few programs are notebooks

        attempts = [attempt.as_row() for attempt in self.attempts]
        return attempt_table.render_stream(self.partial, type(self).__name__, self._chunks, attempts)

    def _check_unread(self) -> None:
        if self._over:
            raise ValidationError(
                "This stream was already read, or closed: .partial has its text. For another response call stream() or "
                "astream() again; to go through the chunks twice, keep them in a list."
            )

    def _read(self, step: Step) -> LLMChunk:
        """Return the chunk of a step.

        Raises:
            StreamInterruptedError: The stream broke after its first chunk.
            LLMError: No target answered.
        """
        chunk = step if isinstance(step, LLMChunk) else self._last(cast("Done | CallFailed", step))
        if chunk.content:
            self._chunks += 1
            self._bytes_left -= len(chunk.content) + CHUNK_COST
            if self._bytes_left >= 0:
                self._texts.append(chunk.content)
        elif chunk.tool_calls or chunk.refusal:
            self._has_other_output = True
        if chunk.usage:
            self._usage = chunk.usage
        return chunk

    def _last(self, step: Done | CallFailed) -> LLMChunk:
        self._over = True
        if isinstance(step, CallFailed):
            with CLEAR_VARIABLES:
                raise self._call.error(step, self.partial, self._usage)
        chunk: LLMChunk = step.value
        self._call.log_end(chunk.usage)
        served = self._trace.served
        if chunk.finish_reason == "length" and not (self._chunks or self._has_other_output):
            logs.warn_of_cut_answer(served, self._call.state.now())
        return replace(
            chunk,
            attempts=self.attempts,
            request_id=self._trace.request_id,
            provider=chunk.provider or (served.provider if served else None),
            model=chunk.model or (served.model if served else None),
            used_fallback=self._call.used_fallback,
        )


class Stream(_ChunkReader, SyncOnly):
    """Chunks of a response, for sync callers. Nothing is sent before the first chunk is asked for."""

    def __init__(self, driver: Driver, call: PreparedCall) -> None:
        super().__init__(call)
        self._driver = driver

    def __iter__(self) -> Self:
        """Return itself: a stream is read once.

        Raises:
            ValidationError: It was read, or closed.
        """
        self._check_unread()
        return self

    def __next__(self) -> LLMChunk:
        """Return the next chunk.

        Raises:
            StreamInterruptedError: The stream broke after its first chunk.
            LLMError: No target answered.
        """
        if self._over:
            raise StopIteration
        try:
            step = self._driver.advance()
        except BaseException:
            self._over = True
            raise
        return self._read(step)

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._over = True
        self._driver.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __del__(self) -> None:
        """Give the connection of a forgotten stream back."""
        if driver := getattr(self, "_driver", None):
            driver.close()


class AsyncStream(_ChunkReader, AsyncOnly):
    """Chunks of a response, for async callers. Nothing is sent before the first chunk is asked for."""

    def __init__(self, driver: AsyncDriver, call: PreparedCall) -> None:
        super().__init__(call)
        self._driver = driver

    def __aiter__(self) -> Self:
        """Return itself: a stream is read once.

        Raises:
            ValidationError: It was read, or closed.
        """
        self._check_unread()
        return self

    async def __anext__(self) -> LLMChunk:
        """Return the next chunk.

        Raises:
            StreamInterruptedError: The stream broke after its first chunk.
            LLMError: No target answered.
        """
        if self._over:
            raise StopAsyncIteration
        try:
            step = await self._driver.advance()
        except BaseException:
            self._over = True
            raise
        return self._read(step)

    async def aclose(self) -> None:
        """Stop, and give the connection back."""
        self._over = True
        await self._driver.close()

    async def __aenter__(self) -> Self:
        """Close at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    def __del__(self) -> None:
        """Give the connection of a forgotten stream back, without waiting."""
        if driver := getattr(self, "_driver", None):
            finish_without_loop(driver.close)
