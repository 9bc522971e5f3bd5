from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import pytest

from tests.support.mlx_calls import AskModel, Submit, collect, prompt
from unified_llm._backends.mlx import unavailable_reason, demo_folder
from unified_llm._backends.mlx.engine import Engine, engine_for
from unified_llm._backends.mlx.engine_types import Output


@pytest.fixture
def demo() -> Engine:
    if reason := unavailable_reason():
        pytest.skip(reason)
    return engine_for(demo_folder())


@pytest.fixture
def submit(demo: Engine) -> Submit:
    """Hand a question in and return the queue that its outputs come through."""

    def submit(question: str, **options: Any) -> SimpleQueue[Output]:
        outputs: SimpleQueue[Output] = SimpleQueue()
        demo.submit(prompt(question, **options), outputs.put)
        return outputs

    return submit


@pytest.fixture
def ask(submit: Submit) -> AskModel:
    return lambda question, **options: collect(submit(question, **options))
