"""What of a call is counted, and where its span belongs, so that no token and no call is counted twice.

Three things decide it, when the call starts: the option ``telemetry``, a tracing tool that records the same call, and
an outer call of this package whose attempt this call is (a chain that is a target of another chain).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unified_llm._core import defaults
from unified_llm._observe.otel_instruments import Instruments
from unified_llm._observe.tracing_tools import ModelSpan

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

# In the context of an attempt: the call that it belongs to.
_CALL: Final = "unified_llm.call"


class RunningCall:
    """Whether a call is over; work that it left behind (a background task) belongs to it no longer."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


@dataclass(frozen=True, slots=True)
class Counting:
    """The decision for one call.

    Attributes:
        has_span: Whether it gets a span.
        parent: The context of the span's parent, or None for the current one.
        names_model: Whether the span has the tokens, and the operation and the models by which calls are counted.
        has_metrics: Whether it is measured at all, and its error an event of its own.
        counts_tokens: Whether tokens are measured.
        by_tools: What tracing tools record of the call, where their measurements are not to be repeated.
    """

    has_span: bool
    parent: Context | None
    names_model: bool
    has_metrics: bool
    counts_tokens: bool
    by_tools: Sequence[ModelSpan]

    def records(self, name: str, instrument: object) -> bool:
        """Check whether a measurement is recorded: not if a tool records it under the same name."""
        return self.has_metrics and not any(tool.shares_metric(name, instrument) for tool in self.by_tools)


def decide(recorders: Instruments, model_spans: Sequence[ModelSpan]) -> Counting:
    """Decide for a call that starts in the current context.

    Args:
        recorders: What it is recorded with.
        model_spans: What tracing tools record of it.
    """
    from opentelemetry.context import get_value
    from opentelemetry.trace import get_current_span, set_span_in_context

    wanted, outer = defaults.default("telemetry"), get_value(_CALL)
    inside = isinstance(outer, RunningCall) and not outer.over
    shared = [model_span for model_span in model_spans if model_span.shares_spans(recorders.tracer)]
    by_tool = wanted is not True and any(model_span.counts for model_span in shared)
    above = next((model_span.span for model_span in shared if model_span.span is not None), None)
    # LangSmith's span is made later, so there is no parent: without a current span, this one would be another trace.
    astray = by_tool and above is None and not get_current_span().get_span_context().is_valid
    without_usage = wanted == defaults.WITHOUT_USAGE
    return Counting(
        has_span=not astray,
        parent=None if above is None else set_span_in_context(above),
        names_model=not (inside or by_tool or without_usage),
        has_metrics=not inside,
        counts_tokens=not without_usage,
        by_tools=() if wanted is True else model_spans,
    )


def context_of(span: Span, call: RunningCall) -> Context:
    """Return the context of the attempts of a call."""
    from opentelemetry.context import set_value
    from opentelemetry.trace import set_span_in_context

    return set_value(_CALL, call, set_span_in_context(span))


@contextmanager
def outside() -> Generator[None]:
    """Run the user's code, whose calls are counted, within an attempt; the span stays the current one."""
    from opentelemetry.context import attach, detach, set_value

    token = attach(set_value(_CALL, None))
    try:
        yield
    finally:
        detach(token)
