"""When the part of a model that reads images is loaded, and what it takes of the memory limit."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from integration_tests.support.pictures import picture
from unified_llm import LLMClient, LLMResponse, Message
from unified_llm._backends.mlx import unavailable_reason, vision_loading
from unified_llm._backends.mlx.engine_types import EngineKey, UnloadableError
from unified_llm._backends.mlx.engines import close_engines, get_engine
from unified_llm._backends.mlx.loading import has_gpu
from unified_llm._backends.mlx.model_loads import preload, state_of
from unified_llm._backends.mlx.model_types import known_types
from unified_llm._backends.mlx.scheduler import Scheduler
from unified_llm._backends.mlx.vision_loading import load
from unified_llm._backends.mlx.weight_sizes import estimate_size
from unified_llm.exceptions import LLMError

pytestmark = pytest.mark.skipif(
    unavailable_reason() is not None or not known_types("mlx_vlm"), reason="MLX or mlx-vlm is not installed"
)
QUESTION = "What is this?"


def running_model(folder: Path) -> Scheduler:
    model = get_engine(folder)._model
    assert isinstance(model, Scheduler)
    return model


def ask(folder: Path, *images: Any, text: str = QUESTION, **options: Any) -> LLMResponse:
    client = LLMClient(f"mlx/{folder}", max_tokens=12)
    return client.generate([Message.user(text, images=images)], **options)


@pytest.mark.parametrize("way", ["generate", "astream"])
def test_what_the_first_image_needs_is_loaded_before_the_timeout_of_its_attempt_begins(
    qwen: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_slowly(*given: Any, **options: Any) -> Any:
        time.sleep(3.0)
        return load_both(*given, **options)

    load_both = vision_loading._load
    ask(qwen, picture())  # imports mlx-vlm
    close_engines()
    monkeypatch.setattr(vision_loading, "_load", load_slowly)
    client = LLMClient(f"mlx/{qwen}", max_tokens=2, timeout=2.5, max_retries=0)
    assert client.generate(QUESTION).content
    messages = [Message.user(QUESTION, images=[picture()])]

    async def stream() -> str:
        return "".join([chunk.content async for chunk in client.astream(messages)])

    started = time.monotonic()
    assert client.generate(messages).content if way == "generate" else asyncio.run(stream())
    assert time.monotonic() - started > 3.0
    close_engines()
    with pytest.raises(LLMError, match="deadline"):
        client.generate(messages, deadline=0.5)


def test_what_reads_images_has_its_share_of_the_memory_before_it_is_loaded(folder: Path) -> None:
    close_engines()
    ask(folder)
    scheduler = running_model(folder)
    engine = get_engine(folder)
    estimate = estimate_size(engine.key, on_gpu=has_gpu()).size
    assert abs(engine.size - scheduler.prefixes.nbytes - estimate) < estimate / 50
    scheduler.prefixes.clear()
    ask(folder, picture())
    assert scheduler.prefixes.nbytes > 0, "the caches of the last images are counted"
    assert abs(engine.size - scheduler.prefixes.nbytes - estimate) < estimate / 50


def test_caches_of_images_are_kept_within_the_limit_of_all_caches(qwen: Path) -> None:
    question = Message.user(QUESTION, images=[picture()])
    further = [question, Message.assistant("A picture."), Message.user("Sure?")]
    client = LLMClient(f"mlx/{qwen}", max_tokens=5)

    def count_cached() -> int | None:
        client.generate([question])
        usage = client.generate(further).usage
        return usage.cached_tokens if usage else None

    assert count_cached()
    scheduler = running_model(qwen)
    scheduler.prefixes.shrink(scheduler.prefixes.nbytes // 2)
    assert (count_cached(), scheduler.prefixes.nbytes) == (0, 0)
    close_engines()


def test_texts_are_answered_where_there_is_no_memory_for_images(qwen: Path) -> None:
    loaded = load(EngineKey(qwen))
    assert loaded.vision is not None
    loaded.vision.reserve(5_000, 1_000)
    for _ in range(2):
        with pytest.raises(UnloadableError, match=r"reads images takes .* memory_limit leaves 1.0 KB"):
            loaded.vision.load()
    assert (loaded.vision.is_loaded, loaded.vision.size) == (True, 0)


def test_a_model_on_standby_is_loaded_with_what_reads_images(qwen: Path) -> None:
    close_engines()
    (target,) = LLMClient(f"mlx/{qwen}").targets
    assert state_of(target) == "unloaded"
    preload(target)
    assert (state_of(target), state_of(target, images=True)) == ("loaded", "loaded")
