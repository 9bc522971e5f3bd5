"""Tracing tools that record the calls of a framework's models: Langfuse, OpenInference, Traceloop, LangSmith.

Such a tool has a span for the model, with the tokens of the call. The span of the call belongs below that one, and must
not count the same tokens again. A framework's adapter looks for the tools' spans with ``find_model_spans``, and passes
them on with the options of the call.

Where a tool keeps its spans is public only with OpenInference. Elsewhere an attribute is read that a new release may
rename: a span that is not found leaves the call as it is without a tool.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.trace import Span

# Where the classes of handlers that record tokens in a span are defined.
_TRACELOOP: Final = "opentelemetry.instrumentation."
_TOOLS: Final = ("langfuse.", "openinference.instrumentation.", _TRACELOOP)
_LANGSMITH: Final = "langchain_core.tracers.langchain."


@dataclass(frozen=True, slots=True)
class ModelSpan:
    """What a tracing tool records of the model of one call.

    Attributes:
        span: The tool's span, or None where it is made after the call (LangSmith).
        counts: Whether the tool records tokens for this way of calling.
        processor: What the tool hands ended spans to; None if unknown.
        histograms: The tool's own measurements of durations and tokens.
    """

    span: Span | None
    counts: bool = True
    processor: object = None
    histograms: tuple[Any, ...] = ()

    def shares_spans(self, tracer: object) -> bool:
        """Check whether spans of this tracer are seen where the tool's are: both have the same span processors.

        A tool may have a tracer provider of its own, which sends its spans elsewhere. True where nothing is known.
        """
        processor = getattr(tracer, "span_processor", None)
        return self.processor is None or processor is None or self.processor is processor

    def shares_metric(self, name: str, instrument: object) -> bool:
        """Check whether the tool records a measurement under this name, with the meter provider of this instrument."""
        consumer = getattr(instrument, "_measurement_consumer", None)
        return any(
            getattr(theirs, "name", None) == name and getattr(theirs, "_measurement_consumer", None) is consumer
            for theirs in self.histograms
        )


def find_model_spans(handlers: Iterable[object], run_id: object) -> tuple[ModelSpan, ...]:
    """Return what the tracing tools among these handlers record of a run; nothing without OpenTelemetry.

    Args:
        handlers: The callback handlers of LangChain's run, or the span handlers of LlamaIndex's dispatcher.
        run_id: The key by which they know the run: LangChain's ID, or LlamaIndex's ``<class>.<method>-<number>``.
    """
    if sys.modules.get("opentelemetry.trace") is None:
        return ()
    return tuple(model_span for handler in handlers if (model_span := _read_handler(handler, run_id)))


def _read_handler(handler: object, run_id: object) -> ModelSpan | None:
    for kind in type(handler).__mro__:  # a user may have derived a class from the tool's
        module = f"{kind.__module__}."
        if module.startswith(_TOOLS):
            return _read_span(handler, run_id, counts=not module.startswith(_TRACELOOP) or _is_chat(run_id))
        if module == _LANGSMITH:
            return _read_langsmith(handler, run_id)
    return None


def _is_chat(run_id: object) -> bool:
    """Check that a run is no completion of LlamaIndex, for which Traceloop records no tokens."""
    return not isinstance(run_id, str) or "chat" in run_id.partition("-")[0]


def _read_span(handler: Any, run_id: object, *, counts: bool) -> ModelSpan | None:
    span = _span_of(handler, run_id)
    try:
        if span is None or not span.get_span_context().is_valid:
            return None
    except AttributeError:  # no span after all
        return None
    given = (getattr(handler, name, None) for name in ("duration_histogram", "token_histogram"))
    # One that was made before the application set its meter provider stands before the real one.
    histograms = tuple(getattr(histogram, "_real_instrument", None) or histogram for histogram in given)
    return ModelSpan(span, counts, getattr(span, "_span_processor", None), histograms)


def _span_of(handler: Any, run_id: object) -> Any:
    """Return the OpenTelemetry span that the handler keeps for a run, in one of the ways of these tools, or None."""
    if callable(get_span := getattr(handler, "get_span", None)):  # OpenInference, LangChain
        return get_span(run_id)
    # Langfuse; Traceloop, LangChain; both, LlamaIndex
    for runs in (getattr(handler, name, None) for name in ("_runs", "runs", "spans", "open_spans")):
        record = runs.get(run_id) if isinstance(runs, dict) else None
        for name in ("_otel_span", "otel_span", "span"):
            if (span := getattr(record, name, None)) is not None:
                return span
    return None


def _read_langsmith(handler: Any, run_id: object) -> ModelSpan | None:
    """Return what LangSmith records, if it makes OpenTelemetry spans of its runs (``LANGSMITH_OTEL_ENABLED``)."""
    exporter = getattr(getattr(handler, "client", None), "otel_exporter", None)
    run = getattr(handler, "run_map", {}).get(str(run_id))
    if exporter is None or (run is not None and run.extra.get("__disabled")):
        return None
    return ModelSpan(None, processor=getattr(getattr(exporter, "_tracer", None), "span_processor", None))
