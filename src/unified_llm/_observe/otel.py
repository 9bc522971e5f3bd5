"""OpenTelemetry, for applications that use it: a span, an event for each attempt, and measurements of every call.

The names are in ``otel_attributes`` and ``conventions``; prompts and responses are never recorded. ``counting`` decides
what is left out because a tracing tool records it.

The driver of a call notifies a ``CallSpan``. The span starts with the first step and ends with the response, the
failure, the cancellation, or when the caller stops. It is current during a step only: a span of a stream that stayed
current between two chunks would contain whatever the caller does with them, and could be left in the wrong task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unified_llm._core.codec import AnyRequest, Chunk
from unified_llm._core.outcome import Done
from unified_llm._core.target import Target
from unified_llm._observe import counting, otel_attributes
from unified_llm._observe.conventions import Operation
from unified_llm._observe.otel_instruments import Instruments, instruments
from unified_llm._observe.tracing_tools import ModelSpan
from unified_llm._policy.call_state import CallState
from unified_llm.exceptions import LLMError
from unified_llm.types.records import Attempt, Usage

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Span


def call_observer(
    request: AnyRequest, primary: Target, state: CallState, model_spans: Sequence[ModelSpan]
) -> CallSpan | None:
    """Return the observer of a call where spans or measurements are collected. Model lists have none.

    Args:
        request: The request.
        primary: The first target of the chain, whether or not it can serve the request.
        state: The state of the call.
        model_spans: What tracing tools record of the same call.
    """
    recorders = instruments()
    operation = otel_attributes.operation(request) if recorders is not None else None
    if recorders is None or operation is None:
        return None
    return CallSpan(request, primary, state, recorders, operation=operation, model_spans=model_spans)


class CallSpan:
    """Span and measurements of one call; a ``CallObserver``."""

    def __init__(
        self,
        request: AnyRequest,
        primary: Target,
        state: CallState,
        recorders: Instruments,
        *,
        operation: Operation,
        model_spans: Sequence[ModelSpan],
    ) -> None:
        self._request, self._primary, self._state, self._recorders = request, primary, state, recorders
        self._operation: Operation = operation
        self._model_spans = model_spans
        self._on_attempt = state.trace.on_attempt
        self._first_chunk: float | None = None
        self._running = counting.RunningCall()

    def started(self) -> None:
        """Start the span, with the targets that were skipped before the first attempt."""
        state = self._state
        self._began = state.now()
        self._target = target = state.targets[0]
        self._counting = counting.decide(self._recorders, self._model_spans)
        # Of all measurements, and of the span; those of a sampler are there from its start.
        self._attributes = {
            **otel_attributes.request_attributes(self._operation, target),
            **otel_attributes.server(target),
        }
        self._span: Span = self._start_span()
        self._context: Context = counting.context_of(self._span, self._running)
        for attempt in state.trace.attempts:
            self.attempt(attempt)
        state.trace.on_attempt = self._attempt_ended

    def _start_span(self) -> Span:
        from opentelemetry.trace import INVALID_SPAN, SpanKind

        if not self._counting.has_span:
            return INVALID_SPAN
        return self._recorders.tracer.start_span(
            f"{self._operation} {self._target.model}",
            self._counting.parent,
            SpanKind.CLIENT,
            {
                **self._of_span(self._attributes),
                **otel_attributes.parameters(self._request, self._target, self._recorders.conventions),
            },
        )

    def _of_span(self, attributes: otel_attributes.Attributes) -> otel_attributes.Attributes:
        return attributes if self._counting.names_model else otel_attributes.without_model(attributes)

    def enter(self) -> Any:
        """Make the span the current one."""
        from opentelemetry.context import attach

        return attach(self._context)

    def leave(self, token: Any) -> None:
        """Make the caller's span the current one again."""
        from opentelemetry.context import detach

        detach(token)

    def attempt(self, attempt: Attempt) -> None:
        """Add an event for the attempt."""
        self._span.add_event(otel_attributes.ATTEMPT, otel_attributes.attempt(attempt))

    def _attempt_ended(self, attempt: Attempt) -> None:
        if self._on_attempt:
            with counting.outside():
                self._on_attempt(attempt)
        self.attempt(attempt)

    def event(self, event: Chunk | Done) -> None:
        """Record the time to the first chunk, and the attributes of the response at its end."""
        if self._first_chunk is None and self._state.streaming:
            self._first_chunk = self._state.now() - self._began
        if isinstance(event, Done):
            self._record_response(event.value)

    def _record_response(self, response: Any) -> None:
        served = self._state.trace.served or self._target
        if served is not self._target:
            self._attributes = otel_attributes.answered_attributes(self._attributes, served)
        self._attributes[otel_attributes.RESPONSE_MODEL] = response.model or served.model
        self._span.set_attributes(otel_attributes.response(response))
        self._span.set_attributes(otel_attributes.served(served, used_fallback=served is not self._primary))
        if (usage := getattr(response, "usage", None)) is not None:
            self._record_usage(usage)

    def _record_usage(self, usage: Usage) -> None:
        counts = otel_attributes.token_counts(self._request, usage)
        if self._counting.names_model:
            self._span.set_attributes(otel_attributes.usage_attributes(counts, self._recorders.conventions))
        if not self._counting.counts_tokens:
            return
        for tokens in self._recorders.token_instruments(self._operation, counts):
            if self._counting.records(tokens.metric.name, tokens.instrument):
                tokens.record(counts[tokens.metric.kind], self._attributes, self._context)

    def finished(self, error: BaseException | None) -> None:
        """End the span.

        An error is recorded by its class, and with its message if it is this package's own. A cancellation or an
        interruption (``asyncio.CancelledError``, ``KeyboardInterrupt``) is none: the caller wanted the call to end.
        """
        if self._running.over:
            return
        self._running.over = True
        state, recorders, conventions = self._state, self._recorders, self._recorders.conventions
        state.trace.on_attempt = self._on_attempt
        if self._first_chunk is not None:
            self._span.set_attribute(otel_attributes.TIME_TO_FIRST_CHUNK, self._first_chunk)
            # Before the error is recorded, which the convention gives to the duration alone.
            self._measure(conventions.first_chunk, recorders.first_chunk, self._first_chunk)
        if isinstance(error, Exception):
            self._record_error(error)
        self._span.set_attributes(self._of_span(self._attributes))
        self._measure(
            conventions.durations[self._operation], recorders.durations[self._operation], state.now() - self._began
        )
        self._span.end()

    def _measure(self, name: str, histogram: Histogram, seconds: float) -> None:
        if self._counting.records(name, histogram):
            histogram.record(seconds, {**self._attributes}, self._context)

    def _record_error(self, error: Exception) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._attributes[otel_attributes.ERROR_TYPE] = type(error).__name__
        message = str(error) if isinstance(error, LLMError) else None
        self._span.set_status(Status(StatusCode.ERROR, message))
        if self._counting.has_metrics:  # not that of a call within another
            self._recorders.record_exception(self._operation, otel_attributes.exception(error, message), self._context)
