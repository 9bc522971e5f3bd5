"""Spans and metrics of a test, recorded in memory by the SDK of OpenTelemetry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

if TYPE_CHECKING:
    import pytest


@dataclass
class RecordedTelemetry:
    """Spans that have ended, and metrics since they were last read."""

    tracers: TracerProvider
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def span(self) -> ReadableSpan:
        """The only span."""
        (only,) = self.spans
        return only

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes of the only span."""
        return self.span.attributes or {}

    @property
    def events(self) -> list[dict[str, Any]]:
        """Attributes of the attempts in the only span, by their names without ``unified_llm.attempt.``."""
        events = self.span.events
        assert {event.name for event in events} <= {"unified_llm.attempt"}
        prefix = "unified_llm.attempt."
        return [
            {name.removeprefix(prefix): value for name, value in (event.attributes or {}).items()} for event in events
        ]

    @property
    def points(self) -> dict[str, list[HistogramDataPoint]]:
        """Data points since they were last read, by the name of the histogram."""
        data = self.reader.get_metrics_data()
        points: dict[str, list[HistogramDataPoint]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points[metric.name] = list(metric.data.data_points)  # type: ignore[arg-type] # all are histograms
        return points

    def __str__(self) -> str:
        """Return everything that would leave the process, as text."""
        data = self.reader.get_metrics_data()
        return json.dumps([span.to_json() for span in self.spans]) + (data.to_json() if data else "")


@contextmanager
def record_telemetry(patch: pytest.MonkeyPatch) -> Iterator[RecordedTelemetry]:
    """Set up OpenTelemetry as an application does, until the block ends."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    with patch.context() as context:
        # OpenTelemetry's own providers can be set only once in a process.
        context.setattr(trace, "get_tracer_provider", lambda: tracers)
        context.setattr(metrics, "get_meter_provider", lambda: meters)
        yield RecordedTelemetry(tracers, exporter, reader)
    meters.shutdown()
