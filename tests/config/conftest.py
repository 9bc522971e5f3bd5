from __future__ import annotations

from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True)
def _mlx_could_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here is what a user wrote, on whatever machine."""
    monkeypatch.setattr("unified_llm._backends.mlx.sys", SimpleNamespace(platform="linux"))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("unified_llm._backends.mlx.find_spec", lambda _: object())
