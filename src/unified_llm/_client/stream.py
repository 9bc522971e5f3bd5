"""``Stream`` and ``AsyncStream``: iterators of chunks with ``.partial``, ``.attempts`` and a way to close them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from unified_llm._client.call import PreparedCall
from unified_llm._client.drivers import AsyncDriver, Driver, Step
from unified_llm._client.steps import AsyncSteps, StepReader, SyncSteps
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


class _ChunkReader(StepReader[LLMChunk]):
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
    def model(self) -> str | None:
        """The model whose chunks these are, as the request named it; None before the first chunk."""
        target = self._trace.answering
        return target.model if target else None

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


class Stream(_ChunkReader, SyncSteps[LLMChunk]):
    """Chunks of a response, for sync callers. Nothing is sent before the first chunk is asked for."""

    def __init__(self, driver: Driver, call: PreparedCall) -> None:
        super().__init__(call)
        self._driver = driver


class AsyncStream(_ChunkReader, AsyncSteps[LLMChunk]):
    """Chunks of a response, for async callers. Nothing is sent before the first chunk is asked for."""

    def __init__(self, driver: AsyncDriver, call: PreparedCall) -> None:
        super().__init__(call)
        self._driver = driver
