from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import pytest

from tests.support import mlx_calls
from tests.support.mlx_calls import AskModel, Submit, collect, prompt
from unified_llm import MLXConfig
from unified_llm._backends.mlx import demo_folder, unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import Output
from unified_llm._backends.mlx.engines import get_engine


@pytest.fixture
def demo() -> Engine:
    if reason := unavailable_reason():
        pytest.skip(reason)
    return get_engine(demo_folder(), settings=MLXConfig(max_queue=10_000))  # tests submit hundreds of prompts at once


@pytest.fixture
def submit(demo: Engine) -> Submit:
    """Submit a question and return the queue of its outputs."""

    def submit(question: str, **options: Any) -> SimpleQueue[Output]:
        return mlx_calls.submit(demo, prompt(question, **options))

    return submit


@pytest.fixture
def ask(submit: Submit) -> AskModel:
    return lambda question, **options: collect(submit(question, **options))
