"""Stand-ins for tracing tools: they make a span for each run of a model, as the handlers of the real ones do.

``integration_tests/test_traces.py`` tries the real ones.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from opentelemetry.trace import Span, set_span_in_context

from tests.support.otel_recorder import RecordedTelemetry

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

COUNTED = "tool.usage"


class SpanMaker(BaseCallbackHandler):
    """A handler with a span for each model and chain; that of a model counts its tokens."""

    run_inline = True

    def __init__(self, provider: TracerProvider) -> None:
        self.tracer = provider.get_tracer("tool")
        self.kept: dict[UUID, Span] = {}

    def start(self, name: str, run_id: UUID, parent_run_id: UUID | None) -> None:
        parent = self.kept.get(parent_run_id) if parent_run_id else None
        self.kept[run_id] = self.tracer.start_span(name, set_span_in_context(parent) if parent else None)

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        self.start("chain", run_id, parent_run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.kept.pop(run_id).end()

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        self.start("model", run_id, parent_run_id)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        span = self.kept.pop(run_id)
        message = getattr(response.generations[0][0], "message", None)
        span.set_attribute(COUNTED, bool(message is not None and message.usage_metadata))
        span.end()

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self.kept.pop(run_id).end()


class InHouse(SpanMaker):
    """A handler of nobody's."""


class LikeLangfuse(SpanMaker):
    @property
    def _runs(self) -> dict[UUID, Any]:
        return {run_id: SimpleNamespace(_otel_span=span) for run_id, span in self.kept.items()}


class LikeOpenInference(SpanMaker):
    def get_span(self, run_id: UUID) -> Span | None:
        return self.kept.get(run_id)


class LikeTraceloop(SpanMaker):
    def __init__(self, provider: TracerProvider, **histograms: object) -> None:
        super().__init__(provider)
        self.duration_histogram, self.token_histogram = histograms.get("duration"), histograms.get("tokens")

    @property
    def spans(self) -> dict[UUID, Any]:
        return {run_id: SimpleNamespace(span=span) for run_id, span in self.kept.items()}


LikeLangfuse.__module__ = "langfuse.langchain.CallbackHandler"
LikeOpenInference.__module__ = "openinference.instrumentation.langchain._tracer"
LikeTraceloop.__module__ = "opentelemetry.instrumentation.langchain.callback_handler"
TOOLS: tuple[type[SpanMaker], ...] = (LikeLangfuse, LikeOpenInference, LikeTraceloop)


class DerivedByAUser(LikeLangfuse):
    """What an application makes of a tool's handler."""


def counting_spans(telemetry: RecordedTelemetry) -> list[ReadableSpan]:
    """Return the spans that count tokens, whoever made them."""
    return [
        span
        for span in telemetry.spans
        if (span.attributes or {}).get(COUNTED)
        or any(name.startswith("gen_ai.usage.") for name in span.attributes or {})
    ]


def own_spans(telemetry: RecordedTelemetry) -> list[ReadableSpan]:
    """Return the spans of this package."""
    return [
        span
        for span in telemetry.spans
        if span.instrumentation_scope and span.instrumentation_scope.name == "unified_llm"
    ]
