"""Draft models and quantized key-value caches, on tiny models with random weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from integration_tests.support.tiny_models import Shape, make_model
from tests.support.each import each
from tests.support.mlx_calls import Answer, collect, prompt, submit
from unified_llm import LLMClient, MLXConfig
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import Constraint, EngineError, EngineKey, Finished, Output

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

SHAPE = Shape(hidden=128)  # heads of 32 values, so that their caches can be quantized
DOCUMENT = "A call goes to the first target that can serve it, and to the next when that fails. " * 8
DRAFT: dict[str, Any] = {"draft_tokens": 3}
QUANTIZED: dict[str, Any] = {"kv_bits": 8, "kv_group_size": 32}
WAYS = pytest.mark.parametrize("way", [DRAFT, QUANTIZED, DRAFT | QUANTIZED], ids=["draft", "quantized", "both"])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("models")
    sliding = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 64}
    return {
        "model": make_model(base / "model", SHAPE),
        "small": make_model(base / "small", replace(SHAPE, layers=1), seed=1),
        "other": make_model(base / "other", replace(SHAPE, vocabulary=512)),
        "sliding": make_model(base / "sliding", SHAPE, kind="llama", further=sliding),
    }


@pytest.fixture(scope="module")
def engine(models: dict[str, Path]) -> Iterator[Engine]:
    engine = Engine(EngineKey(models["model"], draft=models["small"]))
    yield engine
    engine.close()


def ask(engine: Engine, question: str, **options: Any) -> Answer:
    return collect(submit(engine, prompt(question, **{"max_tokens": 24, **options})))


def error_of(key: EngineKey, **options: Any) -> EngineError:
    engine = Engine(key)
    with pytest.raises(EngineError) as failure:
        ask(engine, "Why?", **options)
    engine.close()
    return failure.value


def test_a_draft_model_changes_no_response(models: dict[str, Path], engine: Engine) -> None:
    itself = Engine(EngineKey(models["model"], draft=models["model"]))
    for question in ("Why?", "What is failover?", DOCUMENT):
        for limit in (1, 2, 5, 24):
            alone = ask(engine, question, max_tokens=limit)
            for drafted in (
                ask(engine, question, max_tokens=limit, **DRAFT),
                ask(itself, question, max_tokens=limit, **DRAFT),
            ):
                assert drafted.text == alone.text
                assert drafted.end.completion_tokens == alone.end.completion_tokens
    itself.close()


@each("proposed", [2, 5])
@each("after", [None, "</think>"])
def test_a_constraint_holds_whatever_a_draft_model_proposes_beyond_the_end(
    models: dict[str, Path], engine: Engine, after: str | None, proposed: int
) -> None:
    tokens = json.loads((models["model"] / "tokenizer.json").read_text())["added_tokens"]
    (tag,) = [token["id"] for token in tokens if token["content"] == "</think>"]
    way = {"temperature": 1.5, "logit_bias": {tag: 7.0}, "draft_tokens": proposed, "max_tokens": 400}
    for expression in ("[a-c]{1,8}", "(yes|no|yes no)"):
        constraint = Constraint("regex", expression, after=after)
        for seed in range(4):
            text = ask(engine, "Why?", seed=seed, constraint=constraint, **way).text
            held = text if after is None else text.partition(after)[2].lstrip()
            assert re.fullmatch(expression, held), text


@WAYS
def test_a_second_turn_reads_what_is_new(engine: Engine, models: dict[str, Path], way: dict[str, Any]) -> None:
    first = ask(engine, DOCUMENT + "Why?", **way)
    second = ask(engine, DOCUMENT + "When?", **way)
    again = ask(engine, DOCUMENT + "Why?", **way)
    fresh = Engine(EngineKey(models["model"], draft=models["small"]))
    expected = ask(fresh, DOCUMENT + "When?", **way)
    fresh.close()
    assert (second.text, again.text) == (expected.text, first.text)
    assert (second.end.cached_tokens > 100, expected.end.cached_tokens) == (True, 0)


def test_a_quantized_cache_changes_the_response_and_its_size(engine: Engine) -> None:
    texts = [ask(engine, DOCUMENT, kv_bits=bits, kv_group_size=32).text for bits in (None, 8, 2)]
    assert len(set(texts)) > 1
    assert ask(engine, DOCUMENT, kv_bits=2, kv_group_size=32).text == texts[2]


def test_requests_take_turns_with_the_batch_and_wait_for_each_other(engine: Engine) -> None:
    order: SimpleQueue[str] = SimpleQueue()
    ends: SimpleQueue[str] = SimpleQueue()

    def put_as(name: str) -> Any:
        def put(output: Output) -> None:
            order.put(name)
            if isinstance(output, Finished):
                ends.put(name)

        return put

    for name, options in (("draft", DRAFT), ("batch", {}), ("quantized", QUANTIZED)):
        engine.submit(prompt("Why?", max_tokens=40, **options), put_as(name))
    assert {ends.get(timeout=60) for _ in range(3)} == {"draft", "batch", "quantized"}
    seen = [order.get() for _ in range(order.qsize())]
    last_drafted = len(seen) - seen[::-1].index("draft")
    assert "quantized" not in seen[:last_drafted]
    assert seen[:last_drafted].count("batch") > 5


@WAYS
def test_stop_strings_seeds_and_cancellation_are_as_in_the_batch(engine: Engine, way: dict[str, Any]) -> None:
    whole = ask(engine, "Why?", **way)
    stop = whole.text[6:9]
    stopped = ask(engine, "Why?", stop=(stop,), **way)
    assert stopped.text == whole.text[: whole.text.index(stop)]
    assert stopped.end.finish_reason == "stop"
    drawn = [ask(engine, "Why?", temperature=1.0, seed=seed, **way).text for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    outputs: SimpleQueue[Output] = SimpleQueue()
    request = engine.submit(prompt("Why?", max_tokens=2_000, **way), outputs.put)
    waiting = engine.submit(prompt("Why?", max_tokens=2_000, **way), outputs.put)
    outputs.get(timeout=60)
    waiting.cancel()
    request.cancel()
    assert ask(engine, "Why?", **way).text == whole.text
    assert not any(isinstance(outputs.get(), Finished) for _ in range(outputs.qsize()))


def test_what_the_model_cannot_do_is_refused_with_one_sentence(models: dict[str, Path], engine: Engine) -> None:
    cases: list[tuple[EngineKey, dict[str, Any], str]] = [
        (EngineKey(models["model"], draft=models["other"]), {}, "has other tokens than the model in"),
        (
            EngineKey(models["sliding"], draft=models["model"]),
            {},
            "cannot take back tokens that a draft model proposed",
        ),
        (
            EngineKey(models["model"], draft=models["sliding"]),
            {},
            "cannot take back tokens that a draft model proposed",
        ),
        (EngineKey(models["model"]), DRAFT, "was loaded without a draft model"),
        (
            EngineKey(models["model"]),
            {"kv_bits": 8, "kv_group_size": 128},
            "cannot be quantized to 8 bits in groups of 128",
        ),
        (EngineKey(models["sliding"]), QUANTIZED, "cannot be quantized to 8 bits in groups of 32"),
    ]
    for key, options, message in cases:
        failure = error_of(key, **options)
        assert failure.kind == "unsupported"
        assert message in str(failure)
    assert ask(engine, "Why?").text, "the refusal is that of the request alone"


def test_a_failing_request_leaves_the_others_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ask(engine, "Why?", **QUANTIZED).text

    def out_of_memory(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(import_module("mlx_lm.generate"), "speculative_generate_step", out_of_memory)
        good, bad = submit(engine, prompt("Why?", max_tokens=24)), submit(engine, prompt("Why?", **DRAFT))
        with pytest.raises(EngineError, match=r"failed \(MemoryError\)"):
            collect(bad)
        assert collect(good).text
    assert ask(engine, "Why?", **QUANTIZED).text == expected


def test_the_settings_of_a_client_reach_the_model(models: dict[str, Path]) -> None:
    model, small = (f"mlx/{models[name]}" for name in ("model", "small"))
    plain = LLMClient(model, max_tokens=24).generate("Why?")
    drafted = LLMClient(model, max_tokens=24, mlx=MLXConfig(draft_model=small.removeprefix("mlx/"))).generate("Why?")
    assert drafted.content == plain.content
    quantized = MLXConfig(kv_bits=2, kv_group_size=32)
    assert LLMClient(model, max_tokens=24, mlx=quantized).generate(DOCUMENT).content != (
        LLMClient(model, max_tokens=24).generate(DOCUMENT).content
    )
