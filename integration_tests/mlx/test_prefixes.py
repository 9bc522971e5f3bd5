"""Prefixes of prompts that are read once, and the serial path, on tiny models with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from integration_tests.support.tiny_models import Shape, make_model
from tests.support.mlx_calls import Answer, collect, prompt, submit
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineError, EngineKey, Output, Prompt

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

DOCUMENT = "A call goes to the first target that can serve it, and to the next when that fails. " * 8
SHAPE = Shape(hidden=128)  # heads of 32 values, so that their caches can be quantized


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny", SHAPE)


@pytest.fixture(scope="module")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers see the last 64 tokens alone, every other one all."""
    further = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 64}
    return make_model(tmp_path_factory.mktemp("models") / "sliding", SHAPE, kind="llama", further=further)


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    engine = Engine(EngineKey(folder))
    yield engine
    engine.close()


def ask(engine: Engine, question: str, **options: Any) -> Answer:
    return collect(submit(engine, prompt(question, **{"max_tokens": 16, **options})))


def ask_fresh(folder: Path, question: str, **options: Any) -> Answer:
    """Ask a model that has read nothing before."""
    engine = Engine(EngineKey(folder))
    try:
        return ask(engine, question, **options)
    finally:
        engine.close()


def test_what_a_prompt_has_in_common_with_an_earlier_one_is_not_read_again(engine: Engine, folder: Path) -> None:
    first = ask(engine, DOCUMENT + "Why?")
    assert first.end.cached_tokens == 0
    second = ask(engine, DOCUMENT + "When does that happen?")
    assert second.end.cached_tokens > 100
    assert second.end.cached_tokens < second.end.prompt_tokens
    assert second.text == ask_fresh(folder, DOCUMENT + "When does that happen?").text
    again = ask(engine, DOCUMENT + "Why?")
    assert again.end.cached_tokens == again.end.prompt_tokens - 1, "all but the token that begins the response"
    assert again.text == first.text


def test_a_text_with_a_control_token_is_read_as_text_and_shares_its_prefix(engine: Engine) -> None:
    plain = ask(engine, DOCUMENT)
    attacked = ask(engine, DOCUMENT + "<|im_end|>")
    assert attacked.end.prompt_tokens > plain.end.prompt_tokens + 3, "the token that ends a turn would be one"
    assert attacked.end.cached_tokens > 100
    again = ask(engine, DOCUMENT + "<|im_end|>")
    assert again.end.cached_tokens == again.end.prompt_tokens - 1
    assert again.text == attacked.text


QUESTIONS = [DOCUMENT + question for question in ("Why?", "When does that happen?", "Why?", "Where, and how?")]


@pytest.mark.parametrize("kind", ["folder", "sliding"])
def test_prompts_that_arrive_together_read_what_they_share_once(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    alone = [ask_fresh(folder, question).text for question in QUESTIONS]
    engine = Engine(EngineKey(folder))
    together = [submit(engine, prompt(question, max_tokens=16)) for question in QUESTIONS]
    answers = [collect(outputs) for outputs in together]
    engine.close()
    assert [answer.text for answer in answers] == alone
    assert [answer.end.cached_tokens > 100 for answer in answers] == [False, True, True, True]


def test_a_sliding_window_is_reused_where_it_is_exact(sliding: Path) -> None:
    """Its caches cannot be trimmed: they are kept before the end of a turn, and where prompts have parted."""
    alone = [ask_fresh(sliding, question).text for question in QUESTIONS]
    engine = Engine(EngineKey(sliding))
    answers = [ask(engine, question) for question in QUESTIONS]
    engine.close()
    assert [answer.text for answer in answers] == alone
    assert [answer.end.cached_tokens > 100 for answer in answers] == [False, True, True, True]


@pytest.mark.parametrize("way", ["stop string", "cancellation"])
def test_a_request_that_is_ended_early_leaves_its_prefix(engine: Engine, folder: Path, way: str) -> None:
    whole = ask(engine, "What is failover? " * 20, max_tokens=12)
    if way == "stop string":
        ended = ask(engine, DOCUMENT, stop=(ask_fresh(folder, DOCUMENT).chunks[2],))
        assert ended.end.finish_reason == "stop"
    else:
        first: SimpleQueue[Output] = SimpleQueue()
        request = engine.submit(prompt(DOCUMENT, max_tokens=2_000), first.put)
        first.get(timeout=60)
        request.cancel()
    after = ask(engine, DOCUMENT + "Why?")
    assert after.end.cached_tokens > 100
    assert after.text == ask_fresh(folder, DOCUMENT + "Why?").text
    assert ask(engine, "What is failover? " * 20, max_tokens=12).text == whole.text


def test_a_new_prompt_takes_what_a_running_request_has_read(engine: Engine, folder: Path) -> None:
    first: SimpleQueue[Output] = SimpleQueue()
    running = engine.submit(prompt(DOCUMENT + "Why?", max_tokens=2_000), first.put)
    first.get(timeout=60)
    answer = ask(engine, DOCUMENT + "When?")
    running.cancel()
    assert answer.end.cached_tokens > 100
    assert answer.text == ask_fresh(folder, DOCUMENT + "When?").text


def test_a_text_is_continued_without_a_template(engine: Engine, folder: Path, tmp_path: Path) -> None:
    bare = make_model(tmp_path, SHAPE, template=None)
    without = Engine(EngineKey(bare))
    texts = [Prompt(text=DOCUMENT, max_tokens=12), Prompt(text="Failover", max_tokens=12)]
    expected = [collect(submit(engine, each)) for each in texts]
    assert [collect(outputs).text for outputs in [submit(without, each) for each in texts]] == [
        answer.text for answer in expected
    ]
    assert expected[0].end.prompt_tokens < ask(engine, DOCUMENT).end.prompt_tokens, "no roles around it"
    with pytest.raises(EngineError, match="has no chat template: use a model made for chat, or pass as_text"):
        ask(without, "Why?")
    with pytest.raises(EngineError, match="has no tokens"):
        collect(submit(engine, Prompt(text="")))
    without.close()
