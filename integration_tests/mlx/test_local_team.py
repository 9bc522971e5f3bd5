"""``examples/local_team.py`` with the demo model, and with a model that reads the instructions."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from integration_tests.support.tiny_models import make_model

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXAMPLES)
    return import_module("local_team")


def test_the_demo_model_answers_all_callers(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    example.main("mlx/demo")
    printed = capsys.readouterr().out
    assert all(question in printed for question in example.QUESTIONS)
    assert re.search(r"\n\d+ tokens in \d+\.\d\d s", printed)


def test_what_the_prompts_share_is_read_once(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main(f"mlx/{make_model(tmp_path / 'model')}")
    cached = re.search(r"(\d+) tokens of the prompts were known", capsys.readouterr().out)
    assert cached
    assert int(cached[1]) > 16 * len(example.QUESTIONS)
