"""Under a tracing tool, a call of a LlamaIndex model is counted once, and its span is a child of the model's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined] # its public name
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.llms import ChatMessage
from pydantic import BaseModel, PrivateAttr

from tests.support.four_ways import GPT, PROMPT
from tests.support.otel_recorder import RecordedTelemetry, record_telemetry
from tests.support.scripted_targets import ScriptedTargets, say
from tests.support.tracing_tool import counting_spans, own_spans
from unified_llm import Usage
from unified_llm._core.outcome import Done
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM
from unified_llm.types import EmbeddingResponse

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


class SpanMaker(BaseSpanHandler[Any]):
    """A span handler with an OpenTelemetry span for each of LlamaIndex's."""

    _tracer: Tracer = PrivateAttr()
    _attribute: str = PrivateAttr()

    def __init__(self, tracer: Tracer, attribute: str) -> None:
        super().__init__(open_spans={}, completed_spans=[], dropped_spans=[])
        self._tracer, self._attribute = tracer, attribute

    def new_span(self, id_: str, *args: Any, **kwargs: Any) -> Any:
        span = self._tracer.start_span(id_.partition("-")[0])
        return SimpleNamespace(**{self._attribute: span, "end": span.end})

    def prepare_to_exit_span(self, id_: str, *args: Any, **kwargs: Any) -> Any:
        self.open_spans[id_].end()
        return self.open_spans[id_]

    def prepare_to_drop_span(self, id_: str, *args: Any, **kwargs: Any) -> Any:
        return self.prepare_to_exit_span(id_)


class LikeOpenInference(SpanMaker):
    pass


class LikeTraceloop(SpanMaker):
    pass


class InHouse(SpanMaker):
    pass


LikeOpenInference.__module__ = "openinference.instrumentation.llama_index._handler"
LikeTraceloop.__module__ = "opentelemetry.instrumentation.llamaindex.dispatcher_wrapper"


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedTelemetry]:
    with record_telemetry(monkeypatch) as recorded:
        yield recorded


@pytest.fixture
def attach(telemetry: RecordedTelemetry) -> Iterator[Callable[[type[SpanMaker], str], None]]:
    dispatcher = get_dispatcher()
    before = list(dispatcher.span_handlers)
    tracer = telemetry.tracers.get_tracer("tool")
    yield lambda kind, attribute: dispatcher.add_span_handler(kind(tracer, attribute))
    dispatcher.span_handlers[:] = before


class Joke(BaseModel):
    """A joke."""

    setup: str


MESSAGES = [ChatMessage(role="user", content=PROMPT)]


async def read_all(answer: Any) -> None:
    async for _ in await answer:
        pass


CHATS: Mapping[str, Callable[[UnifiedLLM], Any]] = {
    "chat": lambda llm: llm.chat(MESSAGES),
    "achat": lambda llm: asyncio.run(llm.achat(MESSAGES)),
    "stream_chat": lambda llm: list(llm.stream_chat(MESSAGES)),
    "astream_chat": lambda llm: asyncio.run(read_all(llm.astream_chat(MESSAGES))),
}
COMPLETIONS: Mapping[str, Callable[[UnifiedLLM], Any]] = {
    "complete": lambda llm: llm.complete(PROMPT),
    "acomplete": lambda llm: asyncio.run(llm.acomplete(PROMPT)),
    "stream_complete": lambda llm: list(llm.stream_complete(PROMPT)),
    "astream_complete": lambda llm: asyncio.run(read_all(llm.astream_complete(PROMPT))),
}
Attach = Callable[[type[SpanMaker], str], None]


def run(call: Callable[[UnifiedLLM], Any]) -> None:
    with ScriptedTargets({GPT: [say('{"setup": "Why?"}')]}).running():
        call(UnifiedLLM(model=GPT))


def name_of_parent(telemetry: RecordedTelemetry) -> str:
    (own,) = own_spans(telemetry)
    parent = own.parent.span_id if own.parent else None
    return next(span.name for span in telemetry.spans if span.context and span.context.span_id == parent)


@pytest.mark.parametrize("way", [*CHATS, *COMPLETIONS])
def test_openinference_counts_chats_and_completions(way: str, telemetry: RecordedTelemetry, attach: Attach) -> None:
    attach(LikeOpenInference, "_otel_span")
    run({**CHATS, **COMPLETIONS}[way])
    assert counting_spans(telemetry) == []
    assert name_of_parent(telemetry) == f"UnifiedLLM.{way}"


@pytest.mark.parametrize("way", [*CHATS, *COMPLETIONS])
def test_traceloop_counts_chats_alone(way: str, telemetry: RecordedTelemetry, attach: Attach) -> None:
    attach(LikeTraceloop, "otel_span")
    run({**CHATS, **COMPLETIONS}[way])
    assert counting_spans(telemetry) == ([] if way in CHATS else own_spans(telemetry))
    assert name_of_parent(telemetry) == f"UnifiedLLM.{way}"


def test_a_validated_object_is_counted_by_the_chat_within(telemetry: RecordedTelemetry, attach: Attach) -> None:
    from llama_index.core.prompts import PromptTemplate

    attach(LikeOpenInference, "_otel_span")
    run(lambda llm: llm.structured_predict(Joke, PromptTemplate(PROMPT)))
    assert counting_spans(telemetry) == []
    assert name_of_parent(telemetry) == "UnifiedLLM.chat"


@pytest.mark.parametrize("way", ["chat", "stream_chat"])
def test_a_span_handler_that_is_no_tool_changes_nothing(way: str, telemetry: RecordedTelemetry, attach: Attach) -> None:
    attach(InHouse, "_otel_span")
    run(CHATS[way])
    assert counting_spans(telemetry) == own_spans(telemetry)


def test_embeddings_keep_their_tokens_which_no_tool_counts(telemetry: RecordedTelemetry, attach: Attach) -> None:
    attach(LikeOpenInference, "_otel_span")
    answer = EmbeddingResponse([[1.0]], usage=Usage(prompt_tokens=4, total_tokens=4))
    with ScriptedTargets({"openai/e": [[Done(answer)]]}).running():
        UnifiedEmbedding(model="openai/e").get_text_embedding(PROMPT)
    assert counting_spans(telemetry) == own_spans(telemetry)
