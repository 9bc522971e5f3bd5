"""Spans and metrics of a call, in all four ways to call and for every outcome."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.four_ways import GPT, HAIKU, PROMPT, PROVIDER_TEXT, WAYS, Way, outcome_of
from tests.support.otel_recorder import RecordedTelemetry
from tests.support.scripted_targets import Attempt, Pause, ScriptedTargets, call_tool, say
from unified_llm import LLMClient, Usage
from unified_llm._core.outcome import Done, Failure
from unified_llm._observe import otel_attributes
from unified_llm.langchain import ChatUnified
from unified_llm.testing import outage
from unified_llm.types import Attempt as AttemptRecord
from unified_llm.types import EmbeddingResponse

DEAD = Failure("server", 503, code=PROVIDER_TEXT, detail=PROVIDER_TEXT, request_id="req-7")
BROKEN: list[Attempt] = [[f"{PROVIDER_TEXT} ", "so far", Failure("connection", detail=PROVIDER_TEXT)]]
OPENAI = {"server.address": "api.openai.com", "server.port": 443}
REQUEST_ATTRIBUTES = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    **OPENAI,
}
STREAMS: tuple[Way, ...] = ("stream", "astream")


# Calls that succeed


@pytest.mark.parametrize("way", WAYS)
def test_a_call_is_one_span_of_what_was_asked_and_what_came_back(way: Way, telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [say("Hello to you", model="gpt-4o-2024")]}).running():
        outcome_of(way, LLMClient(GPT, temperature=0.5, max_tokens=9), top_p=0.9, stop=["END"], seed=4)
    span = telemetry.span
    assert (span.name, span.kind, span.status.status_code) == ("chat gpt-4o", SpanKind.CLIENT, StatusCode.UNSET)
    streamed = {"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": pytest.approx(0.01)}
    assert telemetry.attributes == {
        **REQUEST_ATTRIBUTES,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 4,
        "gen_ai.response.model": "gpt-4o-2024",
        "gen_ai.response.id": "r-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "unified_llm.served_by": GPT,
        "unified_llm.used_fallback": False,
        **(streamed if way in STREAMS else {}),
    }
    assert [event["outcome"] for event in telemetry.events] == ["ok"]
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "unified_llm"


@pytest.mark.parametrize("way", WAYS)
def test_a_failover_records_every_attempt_and_the_target_that_answered(way: Way, telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [DEAD], HAIKU: [say("Hello")]}).running():
        outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]))
    first, second, third = telemetry.events
    common = {"target": GPT, "outcome": "server", "status": 503, "request_id": "req-7"}
    assert first == {**common, "seconds": pytest.approx(0.01)}
    assert second == {**common, "seconds": pytest.approx(0.01), "waited": 0.125, "retry": True}
    assert (third["target"], third["outcome"]) == (HAIKU, "ok")
    assert telemetry.span.name == "chat gpt-4o"
    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert telemetry.attributes["gen_ai.provider.name"] == "anthropic"
    assert telemetry.attributes["gen_ai.request.model"] == "gpt-4o", "as the name of the span"
    assert telemetry.attributes["gen_ai.response.model"] == "claude-haiku-4-5"
    assert telemetry.attributes["server.address"] == "api.anthropic.com"
    assert telemetry.attributes["unified_llm.served_by"] == HAIKU
    assert telemetry.attributes["unified_llm.used_fallback"] is True
    assert "error.type" not in telemetry.attributes


def test_a_target_that_is_skipped_is_an_event_with_the_reason(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [call_tool("look", "{}")]}).running():
        tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
        LLMClient("perplexity/sonar", fallbacks=[GPT]).generate(PROMPT, tools=[tool])
    assert telemetry.events[0] == {
        "target": "perplexity/sonar",
        "outcome": "skipped",
        "seconds": 0.0,
        "reason": "it cannot call tools",
    }
    assert telemetry.span.name == "chat gpt-4o"
    assert telemetry.attributes["gen_ai.response.finish_reasons"] == ("tool_calls",)


def test_a_failed_attempt_is_recorded_without_the_providers_code_and_a_cancelled_one_with_our_reason() -> None:
    failed = AttemptRecord(GPT, "auth", 401, reason=PROVIDER_TEXT)
    cancelled = AttemptRecord(GPT, "cancelled", reason="hedged")
    assert "unified_llm.attempt.reason" not in otel_attributes.attempt(failed)
    assert otel_attributes.attempt(cancelled)["unified_llm.attempt.reason"] == "hedged"


def test_the_fields_that_a_target_got_otherwise_are_recorded_by_name(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [DEAD], HAIKU: [say("Hello")]}).running():
        LLMClient(GPT, fallbacks=[HAIKU]).generate(PROMPT, temperature=1.5, extra_body={"store": True})
    assert "adjusted" not in telemetry.events[0]
    assert telemetry.events[-1]["adjusted"] == ("store", "temperature")


def test_kinds_of_tokens_are_recorded_where_there_are_any(telemetry: RecordedTelemetry) -> None:
    usage = Usage(10, 5, 15, cached_tokens=4, cache_write_tokens=3, reasoning_tokens=2)
    with ScriptedTargets({GPT: [say("{}", usage=usage)]}).running():
        LLMClient(GPT).generate(PROMPT, response_format={"type": "json_object"})
    assert telemetry.attributes["gen_ai.usage.cache_read.input_tokens"] == 4
    assert telemetry.attributes["gen_ai.usage.cache_creation.input_tokens"] == 3
    assert telemetry.attributes["gen_ai.usage.reasoning.output_tokens"] == 2
    assert telemetry.attributes["gen_ai.output.type"] == "json"


@pytest.mark.parametrize("use_async", [False, True])
def test_an_embedding_is_a_span_of_its_own_kind(use_async: bool, telemetry: RecordedTelemetry) -> None:  # noqa: FBT001
    answer = EmbeddingResponse([[0.5, 0.25]], usage=Usage(prompt_tokens=4, total_tokens=4))
    with ScriptedTargets({"openai/text-embedding-3-small": [[Done(answer)]]}).running():
        client = LLMClient("openai/text-embedding-3-small")
        if use_async:
            asyncio.run(client.aembed([PROMPT], dimensions=2))
        else:
            client.embed([PROMPT], dimensions=2)
    assert telemetry.span.name == "embeddings text-embedding-3-small"
    assert telemetry.attributes["gen_ai.operation.name"] == "embeddings"
    assert telemetry.attributes["gen_ai.embeddings.dimension.count"] == 2
    assert telemetry.attributes["gen_ai.usage.input_tokens"] == 4
    assert "gen_ai.usage.output_tokens" not in telemetry.attributes
    (point,) = telemetry.points["gen_ai.client.token.usage"]
    assert (point.attributes or {})["gen_ai.token.type"] == "input"


def test_lists_of_models_are_no_calls_to_a_model(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({"openai": [Failure("server", 500)]}).running():
        assert not LLMClient(GPT).health_check()
        assert not asyncio.run(LLMClient(GPT).ahealth_check())
    assert telemetry.spans == ()


def test_a_call_through_langchain_is_one_span_too(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [DEAD], HAIKU: [say("Hello"), say("Hello again")]}).running():
        chat = ChatUnified(model=GPT, fallbacks=[HAIKU], max_retries=0)
        chat.invoke(PROMPT)
        list(chat.stream(PROMPT))
    assert [span.name for span in telemetry.spans] == ["chat gpt-4o"] * 2
    assert [(span.attributes or {})["unified_llm.served_by"] for span in telemetry.spans] == [HAIKU] * 2


# Calls that fail

FAILURES: dict[str, tuple[list[str], dict[str, list[Attempt]], str]] = {
    "dead": ([GPT], {GPT: [DEAD]}, "ServiceUnavailableError"),
    "all dead": ([GPT, HAIKU], {GPT: [DEAD], HAIKU: [Failure("connect")]}, "AllTargetsFailedError"),
    "refused": ([GPT, HAIKU], {GPT: [Failure("filter", 400, detail=PROVIDER_TEXT)]}, "ContentFilterError"),
    "silent": ([GPT], {GPT: [[Pause()]]}, "TimeoutError"),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("way", WAYS)
def test_a_failure_is_recorded_by_the_class_of_the_error_that_is_raised(
    way: Way, name: str, telemetry: RecordedTelemetry
) -> None:
    chain, script, kind = FAILURES[name]
    with ScriptedTargets(script).running():
        result = outcome_of(way, LLMClient(chain[0], fallbacks=chain[1:]))
    assert result.error is not None
    assert result.error.__name__ == kind == telemetry.attributes["error.type"]
    assert telemetry.span.status.status_code is StatusCode.ERROR
    assert telemetry.span.status.description == result.message
    assert [event["outcome"] for event in telemetry.events] == [attempt[1] for attempt in result.attempts]
    assert not any(name.startswith("gen_ai.response") for name in telemetry.attributes)
    (point,) = telemetry.points["gen_ai.client.operation.duration"]
    assert point.attributes == {**REQUEST_ATTRIBUTES, "error.type": kind}


@pytest.mark.parametrize("way", STREAMS)
def test_a_stream_that_breaks_is_an_error(way: Way, telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: BROKEN}).running():
        result = outcome_of(way, LLMClient(GPT))
    assert telemetry.attributes["error.type"] == "StreamInterruptedError"
    assert telemetry.span.status.description == result.message
    assert telemetry.attributes["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.01)
    (point,) = telemetry.points["gen_ai.client.operation.time_to_first_chunk"]
    assert point.attributes == REQUEST_ATTRIBUTES


@pytest.mark.parametrize("way", STREAMS)
def test_a_stream_that_is_left_early_ends_its_span_and_is_no_error(way: Way, telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [say("Hello to you")]}).running():
        leave_early(way, LLMClient(GPT))
    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert "error.type" not in telemetry.attributes
    assert [event["outcome"] for event in telemetry.events] == ["cancelled"]


def leave_early(way: Way, client: LLMClient) -> None:
    if way == "stream":
        with client.stream(PROMPT) as stream:
            next(stream)
        return

    async def leave() -> None:
        async with client.astream(PROMPT) as stream:
            await anext(stream)

    asyncio.run(leave())


@pytest.mark.parametrize("way", STREAMS)
def test_a_stream_that_is_dropped_ends_its_span(way: Way, telemetry: RecordedTelemetry) -> None:
    async def drop() -> None:
        stream = LLMClient(GPT).astream(PROMPT)
        await anext(stream)
        del stream
        gc.collect()

    with ScriptedTargets({GPT: [say("Hello to you")]}).running():
        if way == "stream":
            stream = LLMClient(GPT).stream(PROMPT)
            next(stream)
            del stream
            gc.collect()
        else:
            asyncio.run(drop())
        assert [event["outcome"] for event in telemetry.events] == ["cancelled"]


@pytest.mark.parametrize("way", STREAMS)
def test_a_stream_that_is_never_read_was_no_call(way: Way, telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [say("Hello")]}).running():
        client = LLMClient(GPT)
        if way == "stream":
            client.stream(PROMPT).close()
        else:
            asyncio.run(client.astream(PROMPT).aclose())
    assert telemetry.spans == ()
    assert telemetry.points == {}


def test_a_stream_that_is_read_beyond_its_end_stays_one_span(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [say("Hello")]}).running():
        stream = LLMClient(GPT).stream(PROMPT)
        assert len(list(stream)) == 2
        assert next(stream, None) is None
        stream.close()
    assert len(telemetry.spans) == 1
    assert sum(point.count for point in telemetry.points["gen_ai.client.operation.duration"]) == 1


@pytest.mark.parametrize("way", ["agenerate", "astream"])
def test_a_cancelled_call_ends_its_span_and_is_no_error(way: Way, telemetry: RecordedTelemetry) -> None:
    async def cancel(client: LLMClient) -> None:
        coroutine = client.agenerate(PROMPT) if way == "agenerate" else anext(client.astream(PROMPT))
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ScriptedTargets({GPT: [say("Hello")]}).running():
        asyncio.run(cancel(LLMClient(GPT)))
    assert "error.type" not in telemetry.attributes
    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert [event["outcome"] for event in telemetry.events] == ["cancelled"]
    (point,) = telemetry.points["gen_ai.client.operation.duration"]
    assert point.attributes == REQUEST_ATTRIBUTES


@pytest.mark.parametrize("way", ["generate", "stream"])
def test_a_call_that_is_interrupted_at_the_keyboard_is_no_error(way: Way, telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [[KeyboardInterrupt()]]}).running(), pytest.raises(KeyboardInterrupt):
        outcome_of(way, LLMClient(GPT))
    assert "error.type" not in telemetry.attributes
    assert telemetry.span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("way", WAYS)
def test_a_bug_in_an_exchange_ends_the_span_without_its_message(way: Way, telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [[RuntimeError(PROVIDER_TEXT)]]}).running(), pytest.raises(RuntimeError):
        outcome_of(way, LLMClient(GPT))
    assert telemetry.attributes["error.type"] == "RuntimeError"
    assert telemetry.span.status.description is None


def test_a_coroutine_that_is_closed_early_ends_its_span_without_an_error(
    telemetry: RecordedTelemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedTargets({GPT: [say("Hello")]}).running():
        coroutine = LLMClient(GPT).agenerate(PROMPT)
        asyncio.run(one_step(coroutine))
        coroutine.close()  # in another context than the one in which it started
    assert "error.type" not in telemetry.attributes
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def one_step(coroutine: Any) -> None:
    coroutine.send(None)


# Metrics


@pytest.mark.parametrize("way", WAYS)
def test_time_and_tokens_are_measured_with_the_boundaries_that_the_convention_advises(
    way: Way, telemetry: RecordedTelemetry
) -> None:
    with ScriptedTargets({GPT: [DEAD], HAIKU: [say("Hello", model="haiku-1")]}, latency=0.5).running():
        outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]))
    points = telemetry.points
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "haiku-1",
        "server.address": "api.anthropic.com",
        "server.port": 443,
    }
    (duration,) = points.pop("gen_ai.client.operation.duration")
    assert duration.sum == pytest.approx(1.625)
    assert duration.attributes == common
    assert duration.explicit_bounds[:2] == (0.01, 0.02)
    assert (duration.explicit_bounds[-1], len(duration.explicit_bounds)) == (81.92, 14)
    counted = {
        (point.attributes or {})["gen_ai.token.type"]: point for point in points.pop("gen_ai.client.token.usage")
    }
    assert {kind: point.sum for kind, point in counted.items()} == {"input": 7, "output": 3}
    assert counted["input"].attributes == {**common, "gen_ai.token.type": "input"}
    assert counted["input"].explicit_bounds[:3] == (1, 4, 16)
    assert counted["input"].explicit_bounds[-1] == 67108864
    if way in STREAMS:
        (first,) = points.pop("gen_ai.client.operation.time_to_first_chunk")
        assert first.sum == pytest.approx(1.625)
        assert first.attributes == common
    assert points == {}


def test_tokens_that_nobody_counted_are_not_measured(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [say("Hello", usage=None)]}).running():
        LLMClient(GPT).generate(PROMPT)
    assert set(telemetry.points) == {"gen_ai.client.operation.duration"}
    assert not any("usage" in name for name in telemetry.attributes)


# Media


def test_media_are_calls_that_generate_content(telemetry: RecordedTelemetry) -> None:
    calls: dict[str, tuple[str, Any]] = {
        "image": ("gpt-image-2", lambda client: client.generate_image("CANARY-PROMPT", n=2)),
        "speech": ("tts-1", lambda client: client.generate_speech("CANARY-PROMPT")),
        "text": ("whisper-1", lambda client: client.transcribe(b"RIFF\0\0\0\0WAVE", prompt="CANARY-PROMPT")),
        "video": ("sora-2", lambda client: client.generate_video("CANARY-PROMPT")),
    }
    for made, (model, call) in calls.items():
        with outage("groq", reply="-", allow_unused=True):
            call(LLMClient(f"openai/{model}", api_key="sk-CANARY-key"))
        span = telemetry.spans[-1]
        attributes = dict(span.attributes or {})
        assert span.name == f"generate_content {model}"
        assert attributes["gen_ai.operation.name"] == "generate_content"
        assert attributes["gen_ai.output.type"] == made
        assert "CANARY" not in str(attributes)
    assert len(telemetry.spans) == 4, "looks at a job, and the fetch of its video, have no span"
    assert dict(telemetry.spans[0].attributes or {})["gen_ai.request.choice.count"] == 2
