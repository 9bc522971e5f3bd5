"""OpenTelemetry, for applications that use it: a span, an event for each attempt, and measurements of every call.

OpenTelemetry is never imported from here unless it is there already: an application that has set it up has imported
it. Where none has, a call costs one look-up in ``sys.modules`` (0.04 µs); where it is loaded but not set up, 2 µs.
The names of attributes are in ``otel_attributes``; prompts and responses are never recorded.

The driver of a call notifies a ``CallSpan``. The span starts with the first step and ends with the response, the
failure, the cancellation, or when the caller stops. It is current during a step only: a span of a stream that stayed
current between two chunks would contain whatever the caller does with them, and could be left in the wrong task.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from unified_llm._core import defaults
from unified_llm._core.codec import AnyRequest
from unified_llm._core.outcome import Done
from unified_llm._core.target import Target
from unified_llm._observe import otel_attributes
from unified_llm._policy.call_state import CallState
from unified_llm._version import __version__
from unified_llm.exceptions import LLMError
from unified_llm.types.records import Attempt
from unified_llm.types.requests import EmbeddingRequest, LLMRequest
from unified_llm.types.responses import LLMChunk

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter, MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

_NAME: Final = "unified_llm"
_Instrument: TypeAlias = tuple[str, str, str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Instruments:
    """The tracer and the histograms of one pair of OpenTelemetry providers."""

    providers: tuple[TracerProvider, MeterProvider]
    tracer: Tracer
    duration: Histogram
    first_chunk: Histogram
    tokens: Histogram


_latest: Instruments | None = None


def instruments() -> Instruments | None:
    """Return the tracer and histograms to record with, or None.

    Calls are recorded where the application has set a tracer provider, never after ``configure(telemetry=False)``, and
    after ``configure(telemetry=True)`` also where only measurements are collected.
    """
    global _latest  # noqa: PLW0603 - a cache, which two threads may fill at once
    if sys.modules.get("opentelemetry.trace") is None:
        return None
    from opentelemetry import metrics, trace

    wanted, tracers = defaults.default("telemetry"), trace.get_tracer_provider()
    if wanted is False or (wanted is None and isinstance(tracers, trace.ProxyTracerProvider)):
        return None
    providers = (tracers, metrics.get_meter_provider())
    if _latest is None or _latest.providers != providers:
        meter = metrics.get_meter(_NAME, __version__, providers[1])
        _latest = Instruments(
            providers,
            trace.get_tracer(_NAME, __version__, providers[0]),
            _histogram(meter, otel_attributes.DURATION),
            _histogram(meter, otel_attributes.FIRST_CHUNK),
            _histogram(meter, otel_attributes.TOKENS),
        )
    return _latest


def _histogram(meter: Meter, instrument: _Instrument) -> Histogram:
    name, unit, description, boundaries = instrument
    return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=boundaries)


def call_observer(request: AnyRequest, primary: Target, state: CallState) -> CallSpan | None:
    """Return the observer of a call where spans or measurements are collected. Model lists have none.

    Args:
        request: The request.
        primary: The first target of the chain, whether or not it can serve the request.
        state: The state of the call.
    """
    recorders = instruments()
    if recorders is None or not isinstance(request, (LLMRequest, EmbeddingRequest)):
        return None
    return CallSpan(request, primary, state, recorders)


class CallSpan:
    """Span and measurements of one call; a ``CallObserver``."""

    def __init__(
        self, request: LLMRequest | EmbeddingRequest, primary: Target, state: CallState, recorders: Instruments
    ) -> None:
        self._request, self._primary, self._state, self._recorders = request, primary, state, recorders
        self._on_attempt = state.trace.on_attempt
        self._first_chunk: float | None = None
        self._over = False

    def started(self) -> None:
        """Start the span, with the targets that were skipped before the first attempt."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        request, state = self._request, self._state
        self._began = state.now()
        self._target = target = state.targets[0]
        self._attributes = otel_attributes.request_and_server(request, target)
        self._span: Span = self._recorders.tracer.start_span(
            f"{otel_attributes.operation(request)} {target.model}",
            kind=SpanKind.CLIENT,
            attributes={
                **otel_attributes.request_attributes(request, target),
                **otel_attributes.parameters(request, target),
            },
        )
        self._context: Context = set_span_in_context(self._span)
        for attempt in state.trace.attempts:
            self.attempt(attempt)
        state.trace.on_attempt = self._attempt_ended

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
            self._on_attempt(attempt)
        self.attempt(attempt)

    def event(self, event: LLMChunk | Done) -> None:
        """Record the time to the first chunk, and the attributes of the response at its end."""
        if self._first_chunk is None and self._state.streaming:
            self._first_chunk = self._state.now() - self._began
        if isinstance(event, Done):
            self._record_response(event.value)

    def _record_response(self, response: Any) -> None:
        served = self._state.trace.served or self._target
        if served is not self._target:
            self._attributes = otel_attributes.request_and_server(self._request, served)
            self._span.set_attributes(otel_attributes.parameters(self._request, served))
        self._attributes[otel_attributes.RESPONSE_MODEL] = response.model or served.model
        self._span.set_attributes(otel_attributes.response(response))
        self._span.set_attributes(otel_attributes.served(served, used_fallback=served is not self._primary))
        if response.usage is not None:
            self._span.set_attributes(otel_attributes.usage_attributes(self._request, response.usage))
            for kind, count in otel_attributes.token_counts(self._request, response.usage).items():
                attributes = {**self._attributes, otel_attributes.TOKEN_TYPE: kind}
                self._recorders.tokens.record(count, attributes, self._context)

    def finished(self, error: BaseException | None) -> None:
        """End the span. An error is recorded by its class, and with its message if it is this package's own."""
        if self._over:
            return
        self._over = True
        state = self._state
        state.trace.on_attempt = self._on_attempt
        if error is not None:
            self._record_error(error)
        self._span.set_attributes(self._attributes)
        if self._first_chunk is not None:
            self._span.set_attribute(otel_attributes.TIME_TO_FIRST_CHUNK, self._first_chunk)
            # Without the error, which the convention gives to the duration alone.
            attributes = {name: value for name, value in self._attributes.items() if name != otel_attributes.ERROR_TYPE}
            self._recorders.first_chunk.record(self._first_chunk, attributes, self._context)
        self._recorders.duration.record(state.now() - self._began, self._attributes, self._context)
        self._span.end()

    def _record_error(self, error: BaseException) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._attributes[otel_attributes.ERROR_TYPE] = type(error).__name__
        description = str(error) if isinstance(error, LLMError) else None
        self._span.set_status(Status(StatusCode.ERROR, description))
