"""The newer generation of OpenTelemetry's conventions, which OpenTelemetry's own variable asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.schemas import Schemas

from tests.support.four_ways import GPT, HAIKU, PROMPT, PROVIDER_TEXT, WAYS, Way, outcome_of
from tests.support.otel_recorder import RecordedTelemetry
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, Usage
from unified_llm._core.outcome import Done, Failure
from unified_llm._observe import conventions
from unified_llm.types import EmbeddingResponse

DEAD = Failure("server", 503, detail=PROVIDER_TEXT)
USAGE = Usage(10, 5, 15, cached_tokens=4, cache_write_tokens=3, reasoning_tokens=2)
VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"


@pytest.fixture
def newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "http, gen_ai_latest_experimental")


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryLogRecordExporter]:
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))

    def get_logger(name: str, version: str, *, schema_url: str) -> _logs.Logger:
        return provider.get_logger(name, version, schema_url)

    monkeypatch.setattr(_logs, "get_logger", get_logger)  # the provider of a process can be set only once
    yield exporter
    provider.shutdown()


def totals(telemetry: RecordedTelemetry) -> dict[str, float]:
    return {name: sum(point_value(point) for point in points) for name, points in telemetry.points.items()}


def point_value(point: Any) -> float:
    value: float = point.sum if hasattr(point, "sum") else point.value
    return value


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("", conventions.FIRST),
        ("http", conventions.FIRST),
        ("gen_ai_latest_experimental", conventions.SECOND),
        ("database/dup , gen_ai_latest_experimental,http", conventions.SECOND),
        ("gen_ai_latest_experimental_2", conventions.FIRST),
    ],
)
def test_the_generation_is_read_as_opentelemetry_reads_it(
    listed: str, expected: conventions.Conventions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert conventions.chosen() is conventions.FIRST
    monkeypatch.setenv(VARIABLE, listed)
    assert conventions.chosen() is expected


def test_the_generation_may_change_while_a_client_lives(
    telemetry: RecordedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedTargets({GPT: [say("Hello"), say("Hello")]}).running():
        client = LLMClient(GPT)
        client.generate(PROMPT)
        assert "gen_ai.client.operation.duration" in telemetry.points
        monkeypatch.setenv(VARIABLE, "gen_ai_latest_experimental")
        client.generate(PROMPT)
    assert "gen_ai.client.inference.duration" in telemetry.points


@pytest.mark.usefixtures("newest")
@pytest.mark.parametrize("way", WAYS)
def test_a_chat_has_the_measurements_of_the_newer_generation(way: Way, telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [say("Hello", usage=USAGE)]}).running():
        outcome_of(way, LLMClient(GPT))
    measured = totals(telemetry)
    assert measured.pop("gen_ai.client.inference.duration") == pytest.approx(0.01)
    if way in {"stream", "astream"}:
        assert measured.pop("gen_ai.client.inference.time_to_first_chunk") == pytest.approx(0.01)
    assert measured == {
        "gen_ai.client.inference.usage.input_tokens": 10,
        "gen_ai.client.inference.usage.output_tokens": 5,
        "gen_ai.client.inference.usage.cache_read.input_tokens": 4,
        "gen_ai.client.inference.usage.cache_write.input_tokens": 3,
        "gen_ai.client.inference.usage.reasoning.output_tokens": 2,
        "gen_ai.client.inference.operation.input_tokens": 10,
        "gen_ai.client.inference.operation.output_tokens": 5,
    }


@pytest.mark.usefixtures("newest")
def test_counters_have_a_modality_and_histograms_have_none(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [say("Hello", usage=USAGE)]}).running():
        LLMClient(GPT).generate(PROMPT)
    for name, points in telemetry.points.items():
        modality = (points[0].attributes or {}).get("gen_ai.token.modality")
        assert modality == ("unknown" if ".usage." in name else None)
        assert "gen_ai.token.type" not in (points[0].attributes or {})


@pytest.mark.usefixtures("newest")
def test_embeddings_have_measurements_of_their_own(telemetry: RecordedTelemetry) -> None:
    answer = EmbeddingResponse([[0.5]], usage=Usage(prompt_tokens=4, total_tokens=4))
    with ScriptedTargets({"openai/e": [[Done(answer)]]}).running():
        LLMClient("openai/e").embed(PROMPT)
    measured = totals(telemetry)
    assert measured.pop("gen_ai.client.embeddings.duration") == pytest.approx(0.01)
    assert measured == {"gen_ai.client.embeddings.operation.input_tokens": 4}


@pytest.mark.usefixtures("newest")
def test_a_span_has_the_attributes_of_the_newer_generation(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [say("Hello", usage=USAGE)]}).running():
        LLMClient(GPT, extra_body={"top_k": 40}).generate(PROMPT, reasoning_effort="low", n=3)
    assert telemetry.attributes["gen_ai.usage.cache_write.input_tokens"] == 3
    assert "gen_ai.usage.cache_creation.input_tokens" not in telemetry.attributes
    assert telemetry.attributes["gen_ai.request.reasoning.level"] == "low"
    assert telemetry.attributes["gen_ai.request.top_k"] == 40
    assert telemetry.attributes["gen_ai.request.choice.count"] == 3


def test_the_number_of_answers_and_top_k_are_attributes_of_both_generations(telemetry: RecordedTelemetry) -> None:
    with ScriptedTargets({GPT: [say("Hello")]}).running():
        LLMClient(GPT).generate(PROMPT, n=2, extra_body={"top_k": 20}, reasoning_effort="low")
    assert telemetry.attributes[gen_ai_attributes.GEN_AI_REQUEST_CHOICE_COUNT] == 2
    assert telemetry.attributes[gen_ai_attributes.GEN_AI_REQUEST_TOP_K] == 20
    assert "gen_ai.request.reasoning.level" not in telemetry.attributes


@pytest.mark.usefixtures("newest")
@pytest.mark.parametrize("way", WAYS)
def test_an_error_is_an_event_of_its_own_without_the_providers_text(
    way: Way, telemetry: RecordedTelemetry, logs: InMemoryLogRecordExporter
) -> None:
    with ScriptedTargets({GPT: [DEAD], HAIKU: [DEAD]}).running():
        result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]))
    (record,) = logs.get_finished_logs()
    assert record.log_record.event_name == "gen_ai.client.inference.exception"
    assert record.log_record.severity_number is _logs.SeverityNumber.WARN
    assert record.log_record.attributes == {
        "exception.type": "unified_llm.exceptions.AllTargetsFailedError",
        "exception.message": result.message,
    }
    assert telemetry.span.context is not None
    assert record.log_record.span_id == telemetry.span.context.span_id
    assert "CANARY" not in str(record.log_record.attributes)


def test_an_error_is_no_event_of_the_older_generation(
    telemetry: RecordedTelemetry, logs: InMemoryLogRecordExporter
) -> None:
    with ScriptedTargets({GPT: [DEAD]}).running():
        outcome_of("generate", LLMClient(GPT))
    assert telemetry.attributes["error.type"] == "ServiceUnavailableError"
    assert logs.get_finished_logs() == ()


@pytest.mark.parametrize("listed", ["", "gen_ai_latest_experimental"])
def test_spans_and_measurements_name_their_schema(
    listed: str, telemetry: RecordedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, listed)
    with ScriptedTargets({GPT: [say("Hello")]}).running():
        LLMClient(GPT).generate(PROMPT)
    url = conventions.chosen().schema_url
    scope = telemetry.span.instrumentation_scope
    assert scope is not None
    assert scope.schema_url == url
    data = telemetry.reader.get_metrics_data()
    assert data is not None
    assert [scope.schema_url for metrics in data.resource_metrics for scope in metrics.scope_metrics] == [url]


def test_the_schema_of_the_older_generation_is_the_last_one_that_has_its_names() -> None:
    # The package has the URLs of all versions; those after 1.41 have the conventions for generative AI elsewhere.
    assert conventions.FIRST.schema_url in {schema.value for schema in Schemas}


def test_no_two_measurements_of_a_generation_disagree_about_their_instrument() -> None:
    for generation in (conventions.FIRST, conventions.SECOND):
        kinds: dict[str, set[bool]] = {}
        for metric in generation.tokens:
            kinds.setdefault(metric.name, set()).add(metric.histogram)
        assert all(len(of_name) == 1 for of_name in kinds.values())
