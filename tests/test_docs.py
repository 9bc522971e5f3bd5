"""Every Python example of the documentation runs against scripted targets; every test that it names exists."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry import metrics, trace

from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm._providers import registry
from unified_llm._providers.registry import ROWS

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """Return name and source of every example."""
    examples = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
            line = page.read_text(encoding="utf-8")[: match.start()].count("\n") + 1
            examples.append((f"{page.name}:{line}", match[1]))
    return examples


@pytest.fixture(autouse=True)
def _set_up_for_one_example(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what an example sets: OpenTelemetry's own providers can be set only once in a process."""
    providers: list[MeterProvider] = []

    def use_tracers(provider: object) -> None:
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    def use_meters(provider: MeterProvider) -> None:
        providers.append(provider)
        monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)

    monkeypatch.setattr(trace, "set_tracer_provider", use_tracers)
    monkeypatch.setattr(metrics, "set_meter_provider", use_meters)
    yield
    for provider in providers:
        provider.shutdown()  # its reader has a thread


@pytest.mark.parametrize("source", [pytest.param(source, id=name) for name, source in blocks()])
def test_the_example_runs(source: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for row in ROWS:
        for variable in row.key_env[:1]:
            monkeypatch.setenv(variable, "sk-CANARY-of-the-documentation")
    targets = ScriptedTargets(defaultdict(lambda: [say("Failover asks the next target.")]))
    with targets.running():
        exec(compile(source, "example", "exec"), {"__name__": "__main__"})  # noqa: S102 - runs the example
    for row in registry.registered():
        registry.unregister(row.name)
    assert targets.open == 0
    assert "CANARY" not in capsys.readouterr().out


def test_there_are_examples_to_run() -> None:
    assert len(blocks()) >= 10


NAMED = re.compile(r"`((?:integration_)?tests/[\w/]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("page", ["reliability.md"])
def test_every_test_that_is_named_exists(page: str) -> None:
    named = NAMED.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert named
    for path, test in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, f"{path}::{test}"
