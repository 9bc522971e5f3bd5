from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.mlx_fake_engine import FakeEngine
from unified_llm._backends.mlx import exchange
from unified_llm._backends.mlx.engine_types import Output


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeEngine]:
    """Replace the engine by one that delivers these outputs."""
    monkeypatch.setattr("unified_llm._config.make_target.check_mlx", lambda _: None)
    monkeypatch.setattr("unified_llm._backends.mlx.model_loads.state_of", lambda _, **__: "loaded")

    def script(*outputs: Output | str) -> FakeEngine:
        engine = FakeEngine(*outputs)
        monkeypatch.setattr(exchange, "get_engine", lambda *_, **__: engine)
        return engine

    return script
