"""What OpenTelemetry is told, kept in memory by its own SDK."""

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
class Observed:
    """Spans that have ended, and measurements so far."""

    tracers: TracerProvider
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def span(self) -> ReadableSpan:
        """The only one."""
        (only,) = self.spans
        return only

    @property
    def facts(self) -> Mapping[str, Any]:
        """The attributes of the only span."""
        return self.span.attributes or {}

    @property
    def events(self) -> list[dict[str, Any]]:
        """The attempts that the only span tells of, without what stands before each name."""
        told = self.span.events
        assert {each.name for each in told} <= {"unified_llm.attempt"}
        prefix = "unified_llm.attempt."
        return [{name.removeprefix(prefix): value for name, value in (each.attributes or {}).items()} for each in told]

    @property
    def points(self) -> dict[str, list[HistogramDataPoint]]:
        """What was measured, by the name of the histogram. Reading it starts anew."""
        data = self.reader.get_metrics_data()
        found: dict[str, list[HistogramDataPoint]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found[metric.name] = list(metric.data.data_points)  # type: ignore[arg-type] # all are histograms
        return found

    def __str__(self) -> str:
        """Everything that leaves the process."""
        data = self.reader.get_metrics_data()
        return json.dumps([span.to_json() for span in self.spans]) + (data.to_json() if data else "")


@contextmanager
def observing(patch: pytest.MonkeyPatch) -> Iterator[Observed]:
    """OpenTelemetry is set up, as by an application, until the block ends."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    with patch.context() as within:
        # OpenTelemetry's own switch can be thrown once in a process.
        within.setattr(trace, "get_tracer_provider", lambda: tracers)
        within.setattr(metrics, "get_meter_provider", lambda: meters)
        yield Observed(tracers, exporter, reader)
    meters.shutdown()
