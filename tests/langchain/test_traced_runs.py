"""Under a tracing tool, a call of a LangChain model is counted once, and its span is a child of the model's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tracers.langchain import LangChainTracer
from opentelemetry import metrics
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from tests.support.four_ways import GPT, HAIKU, PROMPT
from tests.support.langchain_targets import with_wrapped_models
from tests.support.otel_recorder import RecordedTelemetry, record_telemetry
from tests.support.scripted_targets import ScriptedTargets, say
from tests.support.tracing_tool import (
    TOOLS,
    DerivedByAUser,
    InHouse,
    LikeLangfuse,
    LikeOpenInference,
    LikeTraceloop,
    SpanMaker,
    counting_spans,
    own_spans,
)
from unified_llm import configure
from unified_llm._core.outcome import Failure
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedTelemetry]:
    with record_telemetry(monkeypatch) as recorded:
        yield recorded
    configure(telemetry=None)


@pytest.fixture(autouse=True)
def targets() -> Iterator[None]:
    script: Any = {GPT: [say("Hello to you") for _ in range(4)], HAIKU: [say("Hello")]}
    with ScriptedTargets(script).running():
        yield


async def read_all(stream: Any) -> None:
    async for _ in stream:
        pass


def parents(spans: Sequence[ReadableSpan]) -> set[int]:
    return {span.parent.span_id for span in spans if span.parent}


def chain_of(chat: ChatUnified) -> Any:
    return ChatPromptTemplate.from_messages([("user", "{question}")]) | chat


ASKED = {"question": PROMPT}
HELLO: Any = {"messages": [("user", PROMPT)]}

# Way of calling -> (number of calls, the calls)
WAYS: Mapping[str, tuple[int, Callable[[ChatUnified, Any], Any]]] = {
    "invoke": (1, lambda chat, config: chat.invoke(PROMPT, config)),
    "ainvoke": (1, lambda chat, config: asyncio.run(chat.ainvoke(PROMPT, config))),
    "stream": (1, lambda chat, config: list(chat.stream(PROMPT, config))),
    "astream": (1, lambda chat, config: asyncio.run(read_all(chat.astream(PROMPT, config)))),
    "batch": (2, lambda chat, config: chat.batch([PROMPT, PROMPT], config)),
    "abatch": (2, lambda chat, config: asyncio.run(chat.abatch([PROMPT, PROMPT], config))),
    "streaming": (1, lambda chat, config: chat.model_copy(update={"streaming": True}).invoke(PROMPT, config)),
    "bound": (1, lambda chat, config: list(chat.bind(temperature=0.5).stream(PROMPT, config))),
    "events": (1, lambda chat, config: asyncio.run(read_all(chat.astream_events(PROMPT, config)))),
    "chain": (1, lambda chat, config: chain_of(chat).invoke(ASKED, config)),
    "chain, stream": (1, lambda chat, config: list(chain_of(chat).stream(ASKED, config))),
    "chain, astream": (1, lambda chat, config: asyncio.run(read_all(chain_of(chat).astream(ASKED, config)))),
    "agent": (1, lambda chat, config: create_agent(chat, []).invoke(HELLO, config)),
    "agent, messages": (
        1,
        lambda chat, config: list(create_agent(chat, []).stream(HELLO, config, stream_mode="messages")),
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_call_is_counted_once_and_its_span_is_a_child_of_the_models(
    tool: type[SpanMaker], way: str, telemetry: RecordedTelemetry
) -> None:
    number, call = WAYS[way]
    call(ChatUnified(model=GPT), {"callbacks": [tool(telemetry.tracers)]})
    counting = counting_spans(telemetry)
    assert [span.name for span in counting] == ["model"] * number
    own = own_spans(telemetry)
    assert parents(own) == {span.context.span_id for span in counting if span.context}
    assert len(own) == number
    for span in own:
        assert span.name == "chat gpt-4o"
        attributes = span.attributes or {}
        assert attributes["unified_llm.served_by"] == GPT
        assert [event.name for event in span.events] == ["unified_llm.attempt"]
        counted_by = {"gen_ai.operation.name", "gen_ai.request.model", "gen_ai.response.model"}
        assert not counted_by & set(attributes), "a tool would count another call of a model"


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_that_is_no_tool_changes_nothing(way: str, telemetry: RecordedTelemetry) -> None:
    number, call = WAYS[way]
    call(ChatUnified(model=GPT), {"callbacks": [InHouse(telemetry.tracers)]})
    own = own_spans(telemetry)
    assert len(own) == number
    assert all((span.attributes or {})["gen_ai.usage.input_tokens"] == 7 for span in own)


@pytest.mark.parametrize("way", ["invoke", "stream", "astream"])
def test_handlers_of_the_model_itself_count_too(way: str, telemetry: RecordedTelemetry) -> None:
    WAYS[way][1](ChatUnified(model=GPT, callbacks=[LikeLangfuse(telemetry.tracers)]), None)
    assert [span.name for span in counting_spans(telemetry)] == ["model"]
    assert [span.name for span in telemetry.spans] == ["chat gpt-4o", "model"]


def test_a_class_that_a_user_derived_from_a_tools_is_recognised(telemetry: RecordedTelemetry) -> None:
    ChatUnified(model=GPT).invoke(PROMPT, {"callbacks": [DerivedByAUser(telemetry.tracers)]})
    assert [span.name for span in counting_spans(telemetry)] == ["model"]


class AroundAChain(BaseChatModel):
    """A chat model of an application, which asks a chain of this package."""

    chat: ChatUnified

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.chat.invoke(messages))])

    @property
    def _llm_type(self) -> str:
        return "around-a-chain"


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_a_chain_within_an_attempt_of_another_is_counted_once(way: str, telemetry: RecordedTelemetry) -> None:
    script: Any = {"openai/absent": [Failure("auth", 401)], GPT: [say("Hello")]}
    with with_wrapped_models(ScriptedTargets(script)):
        inner = AroundAChain(chat=ChatUnified(model=GPT))
        WAYS[way][1](ChatUnified(model="openai/absent", fallbacks=[inner], max_retries=0), None)
    inner_span, outer_span = own_spans(telemetry)
    assert counting_spans(telemetry) == [outer_span]
    assert parents([inner_span]) == {span.context.span_id for span in [outer_span] if span.context}
    points = telemetry.points
    assert sum(point.count for point in points["gen_ai.client.operation.duration"]) == 1
    assert sum(point.count for point in points["gen_ai.client.token.usage"]) == 2


@pytest.mark.parametrize(
    "order", [(LikeLangfuse, InHouse), (InHouse, LikeOpenInference), (LikeTraceloop, LikeLangfuse)]
)
def test_one_tool_among_several_handlers_is_enough(
    order: tuple[type[SpanMaker], ...], telemetry: RecordedTelemetry
) -> None:
    handlers: Any = [kind(telemetry.tracers) for kind in order]
    ChatUnified(model=GPT).invoke(PROMPT, {"callbacks": handlers})
    (own,) = own_spans(telemetry)
    assert "gen_ai.usage.input_tokens" not in (own.attributes or {})
    assert own.parent is not None


@pytest.mark.parametrize("way", ["invoke", "stream", "astream"])
def test_a_tool_that_sends_its_spans_elsewhere_counts_nothing_here(way: str, telemetry: RecordedTelemetry) -> None:
    elsewhere = TracerProvider(shutdown_on_exit=False)
    WAYS[way][1](ChatUnified(model=GPT), {"callbacks": [LikeOpenInference(elsewhere)]})
    (own,) = own_spans(telemetry)
    assert (own.attributes or {})["gen_ai.usage.input_tokens"] == 7
    assert own.parent is None


def test_a_tool_that_sends_its_spans_elsewhere_hides_no_other_tool(telemetry: RecordedTelemetry) -> None:
    handlers: Any = [LikeLangfuse(TracerProvider(shutdown_on_exit=False)), LikeOpenInference(telemetry.tracers)]
    ChatUnified(model=GPT).invoke(PROMPT, {"callbacks": handlers})
    assert [span.name for span in counting_spans(telemetry)] == ["model"]


def test_a_tool_without_a_span_for_this_run_counts_nothing(telemetry: RecordedTelemetry) -> None:
    tool = LikeLangfuse(telemetry.tracers)
    tool.on_chat_model_start = lambda *_, **__: None  # type: ignore[method-assign] # it failed, and logged that
    tool.on_llm_end = lambda *_, **__: None  # type: ignore[method-assign]
    ChatUnified(model=GPT).invoke(PROMPT, {"callbacks": [tool]})
    assert [span.name for span in counting_spans(telemetry)] == ["chat gpt-4o"]


def test_a_tool_whose_attributes_were_renamed_does_no_harm(telemetry: RecordedTelemetry) -> None:
    class Renamed(SpanMaker):
        pass

    Renamed.__module__ = "langfuse.langchain.CallbackHandler"
    ChatUnified(model=GPT).invoke(PROMPT, {"callbacks": [Renamed(telemetry.tracers)]})
    (own,) = own_spans(telemetry)
    assert (own.attributes or {})["gen_ai.usage.input_tokens"] == 7


def test_a_stream_that_was_never_read_leaves_no_run_behind(telemetry: RecordedTelemetry) -> None:
    chat = ChatUnified(model=GPT)
    chat.stream(PROMPT, {"callbacks": [LikeLangfuse(telemetry.tracers)]})
    list(chat.stream(PROMPT))
    assert [span.name for span in telemetry.spans] == ["chat gpt-4o"]
    assert counting_spans(telemetry) == list(telemetry.spans)


def test_two_streams_that_are_read_in_turn_belong_to_their_own_runs(telemetry: RecordedTelemetry) -> None:
    config: Any = {"callbacks": [LikeOpenInference(telemetry.tracers)]}
    chat = ChatUnified(model=GPT)
    first, second = chat.stream(PROMPT, config), chat.stream(PROMPT, config)
    next(first)
    list(second)
    list(first)
    own = own_spans(telemetry)
    assert len(parents(own)) == len(own) == 2


async def test_tasks_that_stream_at_once_belong_to_their_own_runs(telemetry: RecordedTelemetry) -> None:
    config: Any = {"callbacks": [LikeOpenInference(telemetry.tracers)]}
    chat = ChatUnified(model=GPT)
    await asyncio.gather(*(read_all(chat.astream(PROMPT, config)) for _ in range(3)))
    assert len(parents(own_spans(telemetry))) == 3


def test_the_run_id_of_the_caller_is_kept(telemetry: RecordedTelemetry) -> None:
    from langchain_core.utils.uuid import uuid7

    run_id, tool = uuid7(), LikeLangfuse(telemetry.tracers)
    chunks = ChatUnified(model=GPT).stream(PROMPT, {"callbacks": [tool], "run_id": run_id})
    next(iter(chunks))
    assert run_id in tool.kept
    list(chunks)


def test_a_stream_that_is_left_early_ends_both_spans(telemetry: RecordedTelemetry) -> None:
    chunks: Any = ChatUnified(model=GPT).stream(PROMPT, {"callbacks": [LikeLangfuse(telemetry.tracers)]})
    next(chunks)
    chunks.close()
    assert [span.name for span in telemetry.spans] == ["chat gpt-4o", "model"]


# The option


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_telemetry_true_counts_beside_a_tool(way: str, telemetry: RecordedTelemetry) -> None:
    configure(telemetry=True)
    WAYS[way][1](ChatUnified(model=GPT), {"callbacks": [LikeLangfuse(telemetry.tracers)]})
    (own,) = own_spans(telemetry)
    assert (own.attributes or {})["gen_ai.usage.input_tokens"] == 7
    assert own.parent is not None, "a child of the model's span all the same"


@pytest.mark.parametrize("switch", ["configure", "environment"])
def test_without_usage_counts_no_token_whatever_is_attached(
    switch: str, telemetry: RecordedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    if switch == "configure":
        configure(telemetry="without_usage")
    else:
        monkeypatch.setenv("UNIFIED_LLM_TELEMETRY", "without_usage")
    ChatUnified(model=GPT).invoke(PROMPT, {"callbacks": [InHouse(telemetry.tracers)]})
    assert [span.name for span in counting_spans(telemetry)] == ["model"]
    assert set(telemetry.points) == {"gen_ai.client.operation.duration"}


# Measurements


def test_a_measurement_that_the_tool_makes_too_is_made_once(telemetry: RecordedTelemetry) -> None:
    meter = metrics.get_meter_provider().get_meter("tool")
    durations = meter.create_histogram("gen_ai.client.operation.duration", "s")
    tokens = meter.create_histogram("gen_ai.client.token.usage", "token")
    tool = LikeTraceloop(telemetry.tracers, duration=durations, tokens=tokens)
    list(ChatUnified(model=GPT).stream(PROMPT, {"callbacks": [tool]}))
    assert set(telemetry.points) == {"gen_ai.client.operation.time_to_first_chunk"}


def test_a_tools_instrument_that_is_older_than_the_meter_provider_is_recognised(telemetry: RecordedTelemetry) -> None:
    meter = metrics.get_meter_provider().get_meter("tool")
    names = ("gen_ai.client.operation.duration", "gen_ai.client.token.usage")
    durations, tokens = (SimpleNamespace(_real_instrument=meter.create_histogram(name)) for name in names)
    tool = LikeTraceloop(telemetry.tracers, duration=durations, tokens=tokens)
    ChatUnified(model=GPT).invoke(PROMPT, {"callbacks": [tool]})
    assert telemetry.points == {}


def test_a_measurement_that_the_tool_makes_elsewhere_is_made_here(telemetry: RecordedTelemetry) -> None:
    nowhere = metrics.NoOpMeterProvider().get_meter("tool")
    durations, tokens = (
        nowhere.create_histogram(f"gen_ai.client.{name}") for name in ("operation.duration", "token.usage")
    )
    tool = LikeTraceloop(telemetry.tracers, duration=durations, tokens=tokens)
    ChatUnified(model=GPT).invoke(PROMPT, {"callbacks": [tool]})
    assert set(telemetry.points) == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}


# LangSmith, which makes its spans after the call


def langsmith_tracer(telemetry: RecordedTelemetry, *, exports: bool) -> LangChainTracer:
    exporter = SimpleNamespace(_tracer=telemetry.tracers.get_tracer("langsmith")) if exports else None

    class Client:
        otel_exporter = exporter

        def create_run(self, **_: Any) -> None: ...

        def update_run(self, *_: Any, **__: Any) -> None: ...

    return LangChainTracer(client=Client())  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["invoke", "stream", "astream", "agent, messages"])
def test_langsmiths_spans_count_in_place_of_ours(way: str, telemetry: RecordedTelemetry) -> None:
    config = {"callbacks": [langsmith_tracer(telemetry, exports=True)]}
    with telemetry.tracers.get_tracer("application").start_as_current_span("request"):
        WAYS[way][1](ChatUnified(model=GPT), config)
    (own,) = own_spans(telemetry)
    assert counting_spans(telemetry) == []
    assert own.parent is not None


def test_a_span_that_would_be_a_trace_beside_langsmiths_is_left_out(telemetry: RecordedTelemetry) -> None:
    ChatUnified(model=GPT).invoke(PROMPT, {"callbacks": [langsmith_tracer(telemetry, exports=True)]})
    assert telemetry.spans == ()
    assert set(telemetry.points) == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}


def test_langsmiths_own_format_leaves_our_spans_as_they_are(telemetry: RecordedTelemetry) -> None:
    ChatUnified(model=GPT).invoke(PROMPT, {"callbacks": [langsmith_tracer(telemetry, exports=False)]})
    assert [span.name for span in counting_spans(telemetry)] == ["chat gpt-4o"]


# What no tool counts


def test_embeddings_keep_their_tokens(telemetry: RecordedTelemetry) -> None:
    from unified_llm import Usage
    from unified_llm._core.outcome import Done
    from unified_llm.types import EmbeddingResponse

    answer = EmbeddingResponse([[1.0]], usage=Usage(prompt_tokens=4, total_tokens=4))
    with ScriptedTargets({"openai/e": [[Done(answer)]]}).running():
        UnifiedEmbeddings(model="openai/e").embed_query(PROMPT)
    assert [span.name for span in counting_spans(telemetry)] == ["embeddings e"]
