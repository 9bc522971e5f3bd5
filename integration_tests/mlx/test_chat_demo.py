"""The exchange with a model in this process, over the demo model itself."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.mlx_ways import CHUNKS, WHOLE
from unified_llm import LLMClient
from unified_llm._backends.mlx import demo_folder
from unified_llm._backends.mlx.engine import Engine
from unified_llm.exceptions import ContextOverflowError

pytestmark = pytest.mark.proves("mlx", "chat", "stream", against="the demo model of the package")

QUESTION = "What is failover?"


@WHOLE
def test_the_demo_model_answers(demo: Engine, ask: Callable[..., Any]) -> None:
    answer = ask(LLMClient("mlx/demo"), QUESTION)
    assert answer.content.startswith("Failover sends a request to the next target")
    assert (answer.model, answer.provider, answer.finish_reason) == ("demo", "mlx", "stop")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 10
    assert [attempt.outcome for attempt in answer.attempts] == ["ok"]


@CHUNKS
def test_the_demo_model_streams_the_same_answer_in_pieces(demo: Engine, ask: Callable[..., Any]) -> None:
    client = LLMClient("mlx/demo")
    chunks = ask(client, QUESTION)
    assert len(chunks) > 5
    assert "".join(chunk.content for chunk in chunks) == client.generate(QUESTION).content
    assert [chunk.finish_reason for chunk in chunks[-2:]] == [None, "stop"]
    assert (chunks[-1].model, chunks[-1].provider) == ("demo", "mlx")
    assert chunks[-1].usage


def test_local_8_an_answer_within_a_block_that_the_template_has_begun_is_reasoning(
    demo: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "thinking"
    shutil.copytree(demo_folder(), folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["chat_template"] += "{% if add_generation_prompt %}<think>\n{% endif %}"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    client = LLMClient(f"mlx/{folder}", max_tokens=5, max_retries=0)
    answer = client.generate(QUESTION)
    assert (answer.content, answer.finish_reason) == ("", "length")
    assert answer.reasoning
    chunks = list(client.stream(QUESTION))
    assert "".join(chunk.reasoning for chunk in chunks) == answer.reasoning
    assert not any(chunk.content for chunk in chunks)
    raw = client.generate(QUESTION, reasoning_format="raw")
    assert (raw.content, raw.reasoning) == (answer.reasoning, None)


@WHOLE
def test_a_call_without_a_deadline_is_answered(demo: Engine, ask: Callable[..., Any]) -> None:
    assert ask(LLMClient("mlx/demo", deadline=None), "What is 3 + 4?").content.startswith("3 + 4 = 7")


@WHOLE
def test_fields_of_the_call_reach_the_model(demo: Engine, ask: Callable[..., Any]) -> None:
    client = LLMClient("mlx/demo", max_tokens=3)
    whole = client.generate(QUESTION, max_tokens=100).content
    short = ask(client, QUESTION)
    assert (short.finish_reason, short.usage.completion_tokens) == ("length", 3)
    assert whole.startswith(short.content)
    assert ask(client, QUESTION, stop=" next", max_tokens=100).content == whole.partition(" next")[0]


@WHOLE
def test_a_prompt_beyond_the_window_says_so(demo: Engine, ask: Callable[..., Any]) -> None:
    with pytest.raises(ContextOverflowError, match="the model reads 1024"):
        ask(LLMClient("mlx/demo"), "why " * 2000)


@pytest.mark.case(70)
def test_many_threads_are_answered_at_once(demo: Engine) -> None:
    client = LLMClient("mlx/demo")
    answers: dict[int, str] = {}

    def work(number: int) -> None:
        answers[number] = client.generate(f"What is {number} + 1?").content

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {number: text.split(" ")[0] for number, text in answers.items()} == {n: str(n) for n in range(1, 5)}


def test_many_tasks_are_answered_at_once(demo: Engine) -> None:
    async def work() -> list[str]:
        client = LLMClient("mlx/demo")
        answers = await asyncio.gather(*(client.agenerate(f"What is {n} + 1?") for n in range(1, 5)))
        return [answer.content.split(" ")[0] for answer in answers]

    assert asyncio.run(work()) == ["1", "2", "3", "4"]


def test_a_folder_is_served_as_the_demo_model_is(demo: Engine) -> None:
    answer = LLMClient(f"mlx/{demo_folder()}").generate(QUESTION)
    assert answer.content.startswith("Failover")
    assert answer.model == f"{demo_folder()}"


def test_a_stream_that_is_given_up_leaves_the_engine_to_others(demo: Engine) -> None:
    client = LLMClient("mlx/demo")
    with client.stream(QUESTION) as answer:
        assert next(iter(answer)).content
    assert client.generate("What is 3 + 4?").content.startswith("3 + 4 = 7")


@pytest.mark.case(70)
def test_a_damaged_model_fails_over(demo: Engine, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "model_file": "evil.py"}))
    answer = LLMClient(f"mlx/{tmp_path}", fallbacks=["mlx/demo"]).generate(QUESTION)
    assert answer.used_fallback
    assert [attempt.target for attempt in answer.attempts] == [f"mlx/{tmp_path}", "mlx/demo"]
