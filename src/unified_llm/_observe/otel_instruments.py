"""The tracer, the instruments and the logger that calls are recorded with, where OpenTelemetry is set up.

OpenTelemetry is never imported from here unless it is there already: an application that has set it up has imported
it. Where none has, a call costs two look-ups in ``sys.modules``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unified_llm._core import defaults
from unified_llm._observe.conventions import SECONDS, TOKENS, Conventions, Operation, TokenKind, TokenMetric, chosen
from unified_llm._version import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

_NAME: Final = "unified_llm"


@dataclass(frozen=True, slots=True)
class TokenInstrument:
    """An instrument that counts tokens, and the metric that it stands for."""

    metric: TokenMetric
    instrument: Histogram | Counter

    def record(self, count: int, attributes: Mapping[str, Any], context: Context) -> None:
        """Record a number of tokens."""
        attributes = {**attributes, **self.metric.attributes}
        if self.metric.histogram:
            self.instrument.record(count, attributes, context)  # type: ignore[union-attr] # a histogram
        else:
            self.instrument.add(count, attributes, context)  # type: ignore[union-attr] # a counter


@dataclass(frozen=True, slots=True)
class Instruments:
    """The tracer and the instruments of one pair of OpenTelemetry providers, under one generation of conventions."""

    providers: tuple[TracerProvider, MeterProvider]
    conventions: Conventions
    tracer: Tracer
    durations: Mapping[Operation, Histogram]
    first_chunk: Histogram
    tokens: tuple[TokenInstrument, ...]

    def token_instruments(self, operation: Operation, counts: Mapping[TokenKind, int]) -> list[TokenInstrument]:
        """Return the instruments for these counts."""
        return [
            tokens for tokens in self.tokens if tokens.metric.operation == operation and tokens.metric.kind in counts
        ]

    def record_exception(self, operation: Operation, attributes: Mapping[str, Any], context: Context) -> None:
        """Record the event of an error, where the conventions have one and the application collects such events."""
        name = self.conventions.exceptions.get(operation)
        if name is None or sys.modules.get("opentelemetry._logs") is None:
            return
        from opentelemetry._logs import SeverityNumber, get_logger

        logger = get_logger(_NAME, __version__, schema_url=self.conventions.schema_url)
        with suppress(TypeError):  # older releases of OpenTelemetry have no events
            logger.emit(
                event_name=name, severity_number=SeverityNumber.WARN, attributes={**attributes}, context=context
            )


_latest: Instruments | None = None


def instruments() -> Instruments | None:
    """Return the tracer and the instruments to record with, or None.

    Calls are recorded where the application has set a tracer provider or a meter provider, never after
    ``configure(telemetry=False)``.
    """
    global _latest  # noqa: PLW0603 - a cache, which two threads may fill at once
    if sys.modules.get("opentelemetry.trace") is None and sys.modules.get("opentelemetry.metrics") is None:
        return None
    from opentelemetry import metrics, trace

    if defaults.default("telemetry") is False:
        return None
    providers = (trace.get_tracer_provider(), metrics.get_meter_provider())
    if isinstance(providers[0], trace.ProxyTracerProvider) and _is_unset(providers[1]):
        return None
    conventions = chosen()
    if _latest is None or _latest.providers != providers or _latest.conventions is not conventions:
        _latest = _make_instruments(providers, conventions)
    return _latest


def _is_unset(provider: MeterProvider) -> bool:
    """Check whether no meter provider is set. OpenTelemetry has no public name for the class that stands for none."""
    return type(provider).__name__ == "_ProxyMeterProvider"


def _make_instruments(providers: tuple[TracerProvider, MeterProvider], conventions: Conventions) -> Instruments:
    tracer = providers[0].get_tracer(_NAME, __version__, conventions.schema_url)
    meter = providers[1].get_meter(_NAME, __version__, conventions.schema_url)
    made: dict[str, Histogram | Counter] = {}
    for metric in conventions.tokens:
        if metric.name not in made:
            made[metric.name] = _token_instrument(meter, metric)
    durations = {name: _seconds(meter, name, "How long a call took.") for name in {*conventions.durations.values()}}
    return Instruments(
        providers,
        conventions,
        tracer,
        {operation: durations[name] for operation, name in conventions.durations.items()},
        _seconds(meter, conventions.first_chunk, "From the beginning of a call to the first chunk of its stream."),
        tuple(TokenInstrument(metric, made[metric.name]) for metric in conventions.tokens),
    )


def _seconds(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=SECONDS)


def _token_instrument(meter: Meter, metric: TokenMetric) -> Histogram | Counter:
    description = "Tokens that a call took."
    if not metric.histogram:
        return meter.create_counter(metric.name, "{token}", description)
    return meter.create_histogram(metric.name, "{token}", description, explicit_bucket_boundaries_advisory=TOKENS)
