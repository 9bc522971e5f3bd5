from __future__ import annotations

import pytest

from tests.support.four_ways import CANARY


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC", "GROQ", "PERPLEXITY"):
        monkeypatch.setenv(f"{provider}_API_KEY", f"{CANARY}-{provider}")
    monkeypatch.setattr("unified_llm._config.make_target.check_mlx", lambda _: None)
