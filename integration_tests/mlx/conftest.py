from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from integration_tests.support.frozen_heap import freeze_existing_objects
from integration_tests.support.tiny_vision_models import make_idefics3, make_qwen2_vl
from tests.support import mlx_calls
from tests.support.mlx_calls import AskModel, Submit, collect, prompt
from unified_llm import MLXConfig
from unified_llm._backends.mlx import demo_folder, unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import Output
from unified_llm._backends.mlx.engines import get_engine

__all__ = ["freeze_existing_objects"]  # every engine collects garbage when it ends


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


VISION_MODELS: dict[str, Callable[[Path], Path]] = {"qwen2_vl": make_qwen2_vl, "idefics3": make_idefics3}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make one model of each type that reads images."""
    parent = tmp_path_factory.mktemp("vision")
    return {kind: make(parent / kind) for kind, make in VISION_MODELS.items()}


@pytest.fixture(scope="session", params=VISION_MODELS)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    """Return the folder of each model that reads images, one after the other."""
    return folders[request.param]


@pytest.fixture(scope="session")
def qwen(folders: dict[str, Path]) -> Path:
    return folders["qwen2_vl"]
