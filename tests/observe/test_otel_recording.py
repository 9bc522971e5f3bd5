"""Which span is current, what switches recording on and off, and which names and values are recorded."""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes, server_attributes

from tests.support.four_ways import GPT, HAIKU, PROMPT, PROVIDER_TEXT, WAYS, Way, outcome_of
from tests.support.otel_recorder import RecordedTelemetry
from tests.support.scripted_targets import USAGE, Attempt, ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, configure
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import current, use
from unified_llm._observe.otel_instruments import instruments
from unified_llm._providers.registry import ROWS
from unified_llm.exceptions import ConfigurationError, LLMError
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


# 0.66b0 is the release whose names are used; the tests also run beside older ones.
followed = pytest.mark.skipif(
    tuple(map(int, re.findall(r"\d+", version("opentelemetry-semantic-conventions")))) < (0, 66),
    reason="the installed conventions are older than those that are followed",
)


def values_of(module: Any) -> set[str]:
    return {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


# The current span


def test_a_span_belongs_to_the_one_around_it_and_is_current_while_targets_are_asked(
    telemetry: RecordedTelemetry,
) -> None:
    during: list[trace.Span] = []
    with ScriptedTargets({GPT: [say("Hello to you")]}).running():
        client = LLMClient(GPT, on_attempt=lambda _: during.append(trace.get_current_span()))
        with telemetry.tracers.get_tracer("application").start_as_current_span("outer") as outer:
            client.generate(PROMPT)
            asyncio.run(client.agenerate(PROMPT))
            for _ in client.stream(PROMPT):
                assert trace.get_current_span() is outer, "not between two chunks"
            assert trace.get_current_span() is outer
    *calls, last = telemetry.spans
    assert last.name == "outer"
    assert [span.context for span in calls] == [span.get_span_context() for span in during]
    assert [span.parent for span in calls] == [outer.get_span_context()] * 3


def test_a_call_that_on_attempt_makes_counts_its_own_tokens(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [DEAD], HAIKU: [say("Hello"), say("Sorry")]}).running():
        other = LLMClient(HAIKU)

        def explain(attempt: AttemptRecord) -> None:
            if attempt.outcome == "ok":
                other.generate(PROMPT)

        LLMClient(GPT, fallbacks=[HAIKU], on_attempt=explain).generate(PROMPT)
    counts = [(span.attributes or {})["gen_ai.usage.input_tokens"] for span in telemetry.spans]
    assert counts == [7, 7]
    assert sum(point.count for point in telemetry.points["gen_ai.client.operation.duration"]) == 2


async def test_work_that_a_call_left_behind_counts_its_own_tokens(telemetry: RecordedTelemetry) -> None:
    left: list[contextvars.Context] = []
    with ScriptedTargets({GPT: [say("Hello"), say("Hello")]}).running():
        client = LLMClient(GPT)
        connect = current().aexchange
        assert connect is not None

        def connect_and_copy(request: Any, target: Any) -> Any:
            left.append(contextvars.copy_context())
            return connect(request, target)

        with use(replace(current(), aexchange=connect_and_copy)):
            await client.agenerate(PROMPT)
        await asyncio.create_task(client.agenerate(PROMPT), context=left[0])
    assert len(telemetry.spans) == 2
    assert all("gen_ai.usage.input_tokens" in (span.attributes or {}) for span in telemetry.spans)


async def test_a_stream_may_be_read_by_one_task_after_another(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [say("Hello to you")]}).running():
        stream = LLMClient(GPT).astream(PROMPT)
        first = await asyncio.create_task(anext_of(stream))
        rest = [chunk.content async for chunk in stream]
    assert [first, *rest] == ["Hello ", "to ", "you", ""]
    assert len(telemetry.spans) == 1
    assert not trace.get_current_span().get_span_context().is_valid


async def anext_of(stream: Any) -> str:
    content: str = (await anext(stream)).content
    return content


# Switching it on and off, and what is recorded


@pytest.mark.parametrize("switch", ["configure", "environment"])
def test_it_can_be_switched_off(switch: str, telemetry: RecordedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedTargets({GPT: [say("Hello")]}).running():
        client = LLMClient(GPT)
        if switch == "configure":
            configure(telemetry=False)
        else:
            monkeypatch.setenv("UNIFIED_LLM_TELEMETRY", "0")
        client.generate(PROMPT)
        assert telemetry.spans == ()
        configure(telemetry=True)
        client.generate(PROMPT)
        assert len(telemetry.spans) == 1


def test_nothing_is_recorded_by_an_opentelemetry_that_is_not_set_up() -> None:
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert instruments() is None


def test_calls_are_measured_where_only_a_meter_provider_is_set(
    telemetry: RecordedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    with ScriptedTargets({GPT: [say("Hello")]}).running():
        LLMClient(GPT).generate(PROMPT)
    assert telemetry.spans == ()
    assert set(telemetry.points) == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}


def test_a_switch_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"from configure\(telemetry=...\) must be True, False or"):
        configure(telemetry=1)  # type: ignore[arg-type]
    monkeypatch.setenv("UNIFIED_LLM_TELEMETRY", "perhaps")
    with (
        ScriptedTargets({GPT: [say("Hello")]}).running(),
        pytest.raises(ConfigurationError, match='must be True, False or "without_usage"'),
    ):
        LLMClient(GPT).generate(PROMPT)


@followed
def test_the_names_are_those_of_the_convention(telemetry: RecordedTelemetry) -> None:
    targets = ScriptedTargets(
        {GPT: [say("{}")], HAIKU: [DEAD], "openai/e": [[Done(EmbeddingResponse([[1.0]], usage=USAGE))]]}
    )
    with targets.running():
        config = LLMConfig(model=GPT, temperature=1, max_tokens=2, top_p=1, seed=1, stop=("x",))
        penalties: dict[str, Any] = {"frequency_penalty": 1, "presence_penalty": 1}
        list(LLMClient(config).stream(PROMPT, response_format={"type": "json_object"}, **penalties))
        LLMClient("openai/e").embed("text", dimensions=1)
        with pytest.raises(LLMError):
            LLMClient(HAIKU).generate(PROMPT)
    points = [(name, point) for name, measured in telemetry.points.items() for point in measured]
    used = {name for span in telemetry.spans for name in span.attributes or {}}
    used |= {name for _, point in points for name in point.attributes or {}}
    known = values_of(gen_ai_attributes) | values_of(error_attributes) | values_of(server_attributes)
    assert {name for name in used if not name.startswith("unified_llm.")} <= known
    assert len(used) > 20
    assert {name for name, _ in points} <= values_of(gen_ai_metrics)


@followed
def test_the_values_are_those_of_the_convention() -> None:
    # The conventions for generative AI are now in another repository, which has one more value.
    providers: Any = vars(gen_ai_attributes)["GenAiProviderNameValues"]
    operations: Any = vars(gen_ai_attributes)["GenAiOperationNameValues"]
    known = {member.value for member in providers}
    assert {row.otel_name for row in ROWS if row.otel_name} <= known | {"moonshot_ai"}
    unmapped = known & {row.name for row in ROWS}
    assert unmapped == {"openai", "anthropic", "cohere", "groq", "deepseek", "perplexity"}
    assert {"chat", "embeddings"} <= {member.value for member in operations}


@pytest.mark.parametrize("way", WAYS)
def test_no_key_no_prompt_and_no_answer_leaves_the_process(way: Way, telemetry: RecordedTelemetry) -> None:
    script: dict[str, list[Attempt]] = {
        GPT: [
            DEAD,
            Failure("auth", 401, PROVIDER_TEXT, PROVIDER_TEXT),
            Failure("auth", 401, PROVIDER_TEXT, PROVIDER_TEXT),
        ],
        HAIKU: [say(f"{PROVIDER_TEXT} answer", reasoning=PROVIDER_TEXT, raw={"text": PROVIDER_TEXT}), *BROKEN],
    }
    with ScriptedTargets(script).running():
        client = LLMClient(GPT, fallbacks=[HAIKU])
        outcome_of(way, client)
        outcome_of(way, client)
    assert len(telemetry.spans) == 2
    assert "CANARY" not in str(telemetry)


def test_a_model_in_this_process_has_no_address(telemetry: RecordedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_llm._config.make_target.check_mlx", lambda _: None)
    with ScriptedTargets({"mlx/demo": [say("Hello")]}).running():
        LLMClient("mlx/demo").generate(PROMPT)
    assert telemetry.attributes["gen_ai.provider.name"] == "mlx"
    assert not {"server.address", "server.port"} & set(telemetry.attributes)


def test_a_fallback_in_this_process_is_measured_without_an_address(
    telemetry: RecordedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_llm._config.make_target.check_mlx", lambda _: None)
    with ScriptedTargets({GPT: [DEAD], "mlx/demo": [say("Hello")]}).running():
        LLMClient(GPT, fallbacks=["mlx/demo"]).generate(PROMPT)
    assert telemetry.attributes["gen_ai.provider.name"] == "mlx"
    assert telemetry.attributes["unified_llm.demo"] is True
    (duration,) = telemetry.points["gen_ai.client.operation.duration"]
    assert not {"server.address", "server.port"} & set(duration.attributes or {})


def test_a_sampler_sees_the_request_and_its_server(telemetry: RecordedTelemetry) -> None:
    seen: list[Mapping[str, Any]] = []

    class Recorder(Sampler):
        def should_sample(self, parent_context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any) -> Any:
            seen.append(dict(args[1] if len(args) > 1 else kwargs["attributes"]))
            return ALWAYS_ON.should_sample(parent_context, trace_id, name)

        def get_description(self) -> str:
            return "records"

    telemetry.tracers.sampler = Recorder()
    with ScriptedTargets({GPT: [say("Hello")], "openai/e": [[Done(EmbeddingResponse([[1.0]]))]]}).running():
        LLMClient(GPT, temperature=0.5).generate(PROMPT)
        LLMClient("openai/e").embed("text")
    assert seen[0] == {**REQUEST_ATTRIBUTES, "gen_ai.request.temperature": 0.5}
    assert seen[1] == {
        **OPENAI,
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "e",
    }


def test_a_local_server_is_recorded_with_its_port(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({"ollama/llama2": [say("Hello")]}).running():
        LLMClient("ollama/llama2", base_url="http://127.0.0.1:11434").generate(PROMPT)
    assert (telemetry.attributes["server.address"], telemetry.attributes["server.port"]) == ("127.0.0.1", 11434)
    assert telemetry.attributes["gen_ai.provider.name"] == "ollama"
