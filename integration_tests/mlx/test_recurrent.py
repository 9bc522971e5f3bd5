"""Recurrent and hybrid models with random weights: their state cannot be trimmed, and is reused where it is exact.

    mamba    a state of a fixed size in every layer
    jamba    such a state in one layer, attention in the other
    lfm2     short convolutions, and attention

mlx-lm's networks of the first two read the padding of a batch into their state: they run one request at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from integration_tests.support.tiny_models import Shape, make_model
from tests.support.mlx_calls import Answer, collect, prompt, submit
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineError, EngineKey, Prompt
from unified_llm._backends.mlx.loading import load

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

PADDED: Final = frozenset({"lfm2"})  # those that pass over padding
DOCUMENT: Final = "A call goes to the first target that can serve it, and to the next when that fails. " * 8
QUESTIONS: Final = [DOCUMENT + question for question in ("Why?", "When does that happen?", "Why?", "Where, and how?")]
KINDS: Final[dict[str, dict[str, Any]]] = {
    "mamba": {
        "state_size": 8, "conv_kernel": 4, "use_bias": False, "use_conv_bias": True, "time_step_rank": 4,
    },
    "jamba": {
        "attn_layer_offset": 1, "attn_layer_period": 2, "expert_layer_offset": 1, "expert_layer_period": 2,
        "mamba_d_conv": 4, "mamba_d_state": 8, "mamba_expand": 2, "num_experts": 1, "num_experts_per_tok": 1,
    },
    "lfm2": {
        "norm_eps": 1e-5, "conv_bias": False, "conv_L_cache": 3, "block_dim": 64, "block_ff_dim": 128,
        "block_multiple_of": 32, "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": False,
        "layer_types": ["conv", "full_attention"],
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind: str = request.param
    return make_model(tmp_path_factory.mktemp(kind) / kind, Shape(), seed=1, kind=kind, further=KINDS[kind])


@pytest.fixture(scope="module")
def alone(folder: Path) -> list[str]:
    """Return the responses of a model that has read nothing before."""
    texts = []
    for question in QUESTIONS:
        engine = Engine(EngineKey(folder))
        texts.append(ask(engine, question).text)
        engine.close()
    return texts


def ask(engine: Engine, question: str, **options: Any) -> Answer:
    return collect(submit(engine, prompt(question, **{"max_tokens": 16, **options})))


def test_later_prompts_with_the_same_beginning_get_the_responses_of_a_fresh_model(
    folder: Path, alone: list[str]
) -> None:
    assert len(set(alone)) > 1, "the responses show what was read"
    engine = Engine(EngineKey(folder))
    answers = [ask(engine, question) for question in QUESTIONS]
    engine.close()
    assert [answer.text for answer in answers] == alone
    reused = folder.name in PADDED
    assert [answer.end.cached_tokens > 100 for answer in answers] == [False, reused, reused, reused]


def test_prompts_that_arrive_together_get_the_responses_of_a_fresh_model(folder: Path, alone: list[str]) -> None:
    engine = Engine(EngineKey(folder))
    together = [submit(engine, prompt(question, max_tokens=16)) for question in QUESTIONS]
    answers = [collect(outputs) for outputs in together]
    engine.close()
    assert [answer.text for answer in answers] == alone


def test_a_second_turn_is_read_as_by_a_fresh_model(folder: Path) -> None:
    engine = Engine(EngineKey(folder))
    first = ask(engine, QUESTIONS[0])
    turns = ({"role": "user", "content": QUESTIONS[0]}, {"role": "assistant", "content": first.text})
    second = Prompt((*turns, {"role": "user", "content": "And then?"}), max_tokens=16)
    answer = collect(submit(engine, second))
    engine.close()
    fresh = Engine(EngineKey(folder))
    assert answer.text == collect(submit(fresh, second)).text
    fresh.close()


def test_a_network_that_reads_padding_into_its_state_gets_no_batches(folder: Path) -> None:
    assert load(EngineKey(folder)).merges is (folder.name in PADDED)


def test_a_draft_model_and_a_cache_that_is_not_there_are_refused_with_the_reason(folder: Path) -> None:
    if folder.name == "mamba":
        engine = Engine(EngineKey(folder))
        with pytest.raises(EngineError, match="has no key-value cache that could be quantized: leave out kv_bits"):
            ask(engine, "Why?", kv_bits=8, kv_group_size=32)
        engine.close()
    drafted = Engine(EngineKey(folder, draft=folder))
    with pytest.raises(EngineError, match="cannot take back tokens that a draft model proposed: leave out draft_model"):
        ask(drafted, "Why?", draft_tokens=2)
    drafted.close()
