"""OpenTelemetry, for applications that use it: a span, an event for each attempt, and measurements of every call.

It is never imported from here unless it is there already: an application that has set it up has imported it. Where
nobody has, a call pays for one look into ``sys.modules`` (0.04 µs); where it is loaded but not set up, 2 µs. What
things are called is in ``otel_attributes``; prompts and answers are told to nobody.

A call is watched from outside, around its driver, so that neither the policy nor the drivers know of it. The span
begins with the first step and ends with the answer, the failure, the cancellation, or when the caller lets go. It is
current while a step is performed, and only then: a span of a stream that stayed current between two chunks would take
in whatever the caller does with them, and could be left in the wrong task.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from unified_llm._client import errors
from unified_llm._client.call import PreparedCall
from unified_llm._client.drivers import END, AsyncDrive, Drive
from unified_llm._core import defaults
from unified_llm._core.outcome import Done
from unified_llm._observe import otel_attributes
from unified_llm._policy.call_state import CallFailed
from unified_llm._version import __version__
from unified_llm.exceptions import LLMError
from unified_llm.types.records import Attempt
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter, MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

_NAME: Final = "unified_llm"
_Instrument: TypeAlias = tuple[str, str, str, tuple[float, ...]]
AnyDrive = TypeVar("AnyDrive", bound=Drive | AsyncDrive)


@dataclass(frozen=True, slots=True)
class Instruments:
    """What spans and measurements are made with, for one pair of providers."""

    providers: tuple[TracerProvider, MeterProvider]
    tracer: Tracer
    duration: Histogram
    first_chunk: Histogram
    tokens: Histogram


_latest: Instruments | None = None


def instruments() -> Instruments | None:
    """What to tell it with, or None.

    It is told where the application has set a tracer provider, never after ``configure(telemetry=False)``, and after
    ``configure(telemetry=True)`` also where only measurements are collected.
    """
    global _latest  # noqa: PLW0603 - a cache; two threads that fill it at once do no harm
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


def watched(drive: Drive, question: PreparedCall) -> Drive | WatchedDrive:
    """The driver of a call, watched where there is somebody to tell. Lists of models are not."""
    request, tools = question.request, instruments()
    if tools is None or not isinstance(request, (LLMRequest, EmbeddingRequest)):
        return drive
    return WatchedDrive(drive, question, request, tools)


def awatched(drive: AsyncDrive, question: PreparedCall) -> AsyncDrive | AsyncWatchedDrive:
    """As ``watched``."""
    request, tools = question.request, instruments()
    if tools is None or not isinstance(request, (LLMRequest, EmbeddingRequest)):
        return drive
    return AsyncWatchedDrive(drive, question, request, tools)


class Watch:
    """One call, from its first step to its end."""

    def __init__(self, question: PreparedCall, request: LLMRequest | EmbeddingRequest, tools: Instruments) -> None:
        """Begin the span."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        policy = question.policy
        self._question = question
        self._ask = request
        self._tools = tools
        self._started = policy.now()
        self._first_chunk: float | None = None
        self._over = False
        self._target = target = policy.targets[0]
        self._place = otel_attributes.place(request, target)
        self._span: Span = tools.tracer.start_span(
            f"{otel_attributes.operation(request)} {target.model}",
            kind=SpanKind.CLIENT,
            attributes={**otel_attributes.whom(request, target), **otel_attributes.parameters(request, target)},
        )
        self.context: Context = set_span_in_context(self._span)
        for attempt in policy.trace.attempts:  # skipped before anything was asked
            self._event(attempt)
        self._observe = policy.trace.observe
        policy.trace.observe = self._observed

    def _observed(self, attempt: Attempt) -> None:
        if self._observe:
            self._observe(attempt)
        self._event(attempt)

    def _event(self, attempt: Attempt) -> None:
        self._span.add_event(otel_attributes.ATTEMPT, otel_attributes.attempt(attempt))

    def saw(self, value: Any, defeat: CallFailed | None) -> None:
        """What the driver handed out."""
        if value is END:
            if defeat:
                self._defeated(defeat)
            self.end()
            return
        if self._first_chunk is None and self._question.policy.streaming:
            self._first_chunk = self._question.policy.now() - self._started
        if isinstance(value, Done):
            self._answered(value.value)
            self.end()

    def _answered(self, value: Any) -> None:
        served = self._question.policy.trace.served or self._target
        if served is not self._target:
            self._place = otel_attributes.place(self._ask, served)
            self._span.set_attributes(otel_attributes.parameters(self._ask, served))
        self._place[otel_attributes.RESPONSE_MODEL] = value.model or served.model
        self._span.set_attributes(otel_attributes.answer(value))
        self._span.set_attributes(otel_attributes.served(served, fell_back=self._question.used_fallback))
        if value.usage is not None:
            self._span.set_attributes(otel_attributes.usage_of(self._ask, value.usage))
            for kind, count in otel_attributes.spent(self._ask, value.usage).items():
                self._tools.tokens.record(count, {**self._place, otel_attributes.TOKEN_TYPE: kind}, self.context)

    def _defeated(self, defeat: CallFailed) -> None:
        if defeat.committed:
            self.broke(errors.interrupted(defeat, (), "", None))
        else:
            self.broke(errors.from_defeat(defeat, (), self._question.deadline))

    def broke(self, problem: BaseException) -> None:
        """The call ended in an error, which is told by its class, and in words if they are this package's own."""
        from opentelemetry.trace import Status, StatusCode

        self._place[otel_attributes.ERROR_TYPE] = type(problem).__name__
        words = str(problem) if isinstance(problem, LLMError) else None
        self._span.set_status(Status(StatusCode.ERROR, words))
        self.end()

    def end(self) -> None:
        """The call is over. May be called again."""
        if self._over:
            return
        self._over = True
        self._question.policy.trace.observe = self._observe
        self._span.set_attributes(self._place)
        if self._first_chunk is not None:
            self._span.set_attribute(otel_attributes.TIME_TO_FIRST_CHUNK, self._first_chunk)
            # Of who answered; not of an error, which the convention leaves to the duration.
            told = {name: value for name, value in self._place.items() if name != otel_attributes.ERROR_TYPE}
            self._tools.first_chunk.record(self._first_chunk, told, self.context)
        self._tools.duration.record(self._question.policy.now() - self._started, self._place, self.context)
        self._span.end()


class _Watching(Generic[AnyDrive]):
    """What both watched drivers share."""

    def __init__(
        self, drive: AnyDrive, question: PreparedCall, request: LLMRequest | EmbeddingRequest, tools: Instruments
    ) -> None:
        """Nothing begins before the first step: a stream that is never read was never a call."""
        self._drive = drive
        self._made_from = (question, request, tools)
        self._watch: Watch | None = None

    @property
    def defeat(self) -> CallFailed | None:
        """As of any driver."""
        return self._drive.defeat

    @defeat.setter
    def defeat(self, defeat: CallFailed | None) -> None:
        self._drive.defeat = defeat

    def _begun(self) -> Watch:
        if self._watch is None:
            self._watch = Watch(*self._made_from)
        return self._watch


class WatchedDrive(_Watching[Drive]):
    """A driver whose steps are told to OpenTelemetry."""

    def advance(self) -> Any:
        """As of any driver, with the span as the current one."""
        from opentelemetry.context import attach, detach

        watch = self._begun()
        token = attach(watch.context)
        try:
            value = self._drive.advance()
        except BaseException as problem:
            watch.broke(problem)
            raise
        finally:
            detach(token)
        watch.saw(value, self._drive.defeat)
        return value

    def close(self) -> None:
        """As of any driver."""
        try:
            self._drive.close()
        finally:
            if self._watch:
                self._watch.end()


class AsyncWatchedDrive(_Watching[AsyncDrive]):
    """The same for asynchronous callers."""

    async def advance(self) -> Any:
        """As of any driver, with the span as the current one."""
        from opentelemetry.context import attach, detach

        watch = self._begun()
        token = attach(watch.context)
        try:
            value = await self._drive.advance()
        except GeneratorExit:
            # Whoever awaited is gone with their context, and this may run in another: nothing to go back to.
            watch.end()
            raise
        except BaseException as problem:
            detach(token)
            watch.broke(problem)
            raise
        detach(token)
        watch.saw(value, self._drive.defeat)
        return value

    async def close(self) -> None:
        """As of any driver."""
        try:
            await self._drive.close()
        finally:
            if self._watch:
                self._watch.end()
