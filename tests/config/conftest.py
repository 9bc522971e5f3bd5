from __future__ import annotations

from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True)
def _pretend_that_mlx_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the tests independent of whether this machine can run MLX."""
    monkeypatch.setattr("unified_llm._backends.mlx.sys", SimpleNamespace(platform="linux"))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.39"))
    monkeypatch.setattr("unified_llm._backends.mlx.find_spec", lambda _: object())
