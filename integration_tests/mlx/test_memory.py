"""Memory of real models: what is estimated, measured, and given back."""

from __future__ import annotations

import os
from pathlib import Path
from queue import SimpleQueue

import pytest

from integration_tests.support.tiny_models import LARGE, make_model
from tests.support.mlx_calls import collect, prompt
from unified_llm import LLMClient
from unified_llm._backends.mlx import engines, unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineKey, Output
from unified_llm._backends.mlx.loading import has_gpu
from unified_llm._backends.mlx.weight_sizes import estimate_size
from unified_llm.exceptions import LLMError

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 25 million parameters."""
    folder = tmp_path_factory.mktemp("large")
    make_model(folder, LARGE)
    return folder


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def load(folder: Path) -> Engine:
    engine = engines.get_engine(folder)
    outputs: SimpleQueue[Output] = SimpleQueue()
    engine.submit(prompt("x", max_tokens=1), outputs.put)
    collect(outputs)
    return engine


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_unloading_gives_the_memory_back_and_the_next_request_loads_the_model_again(large: Path) -> None:
    load(large)  # imports, and the tokenizer's own memory
    engines.close_engines()
    before = resident()
    for _ in range(3):
        engine = load(large)
        assert engine.size > 90 * MEGABYTE
        assert resident() - before > 80 * MEGABYTE
        assert engines.unload(engine.key)
        engine.join()
        assert resident() - before < 40 * MEGABYTE
    answer = LLMClient(f"mlx/{large}", max_tokens=4).generate("x")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4


def test_an_estimate_is_close_to_what_is_measured(large: Path) -> None:
    engine = load(large)
    estimate = estimate_size(EngineKey(large), on_gpu=has_gpu()).size
    assert abs(engine.size - estimate) < engine.size / 100


def test_a_model_that_does_not_fit_lets_the_call_fail_over(large: Path) -> None:
    engines.close_engines()
    answer = LLMClient(f"mlx/{large}", memory_limit="50MB", fallbacks=["mlx/demo"], max_tokens=4).generate("x")
    assert answer.used_fallback
    assert str(answer.attempts[0]) == "its model does not fit into the memory limit"
    with pytest.raises(LLMError, match=r"takes about 111 MB of memory, and memory_limit allows 50 MB"):
        LLMClient(f"mlx/{large}", memory_limit="50MB").generate("x")
    assert not LLMClient(f"mlx/{large}", memory_limit="150MB", max_tokens=4).generate("x").used_fallback
