from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk._logs import export

from tests.support.four_ways import CANARY
from tests.support.otel_recorder import RecordedTelemetry, record_telemetry
from unified_llm import configure

# The newer conventions have events, which the oldest release of OpenTelemetry that the package allows has not.
collect_ignore = [] if hasattr(export, "InMemoryLogRecordExporter") else ["test_conventions.py"]


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedTelemetry]:
    with record_telemetry(monkeypatch) as recorded:
        yield recorded
    configure(telemetry=None)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC", "GROQ", "PERPLEXITY", "MISTRAL"):
        monkeypatch.setenv(f"{provider}_API_KEY", f"{CANARY}-{provider}")
