"""What ``make demo`` prints, but for its log, is what README.md shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from integration_tests.support.needs import need
from unified_llm._backends.mlx import unavailable_reason

ROOT = Path(__file__).parents[1]


def lines_without_times(text: str) -> list[str]:
    """Return the lines, but those that are blank and those of the log."""
    lines = [re.sub(r"\d+\.\d+", "0.0", line).rstrip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith(("INFO: ", "WARNING: "))]


def test_the_readme_shows_what_the_demo_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := unavailable_reason():
        pytest.skip(reason)
    need("langchain_core", install="pip install langchain-core")
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")  # no Ollama, whether this machine has it or not
    shown = re.search(r"prints each\nattempt.*?:\n\n```\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "survive.py"], capture_output=True, text=True, timeout=120, check=True
    )
    assert shown
    assert lines_without_times(done.stdout) == lines_without_times(shown[1])
    assert "mlx/demo is a demo model" in done.stderr
