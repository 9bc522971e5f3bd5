from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

from tests.support.each import each
from unified_llm.types import (
    Attempt,
    EmbeddingRequest,
    EmbeddingResponse,
    LLMChunk,
    LLMRequest,
    LLMResponse,
    Message,
    ModelInfo,
    Usage,
    content,
    messages,
    records,
    requests,
    responses,
)

SHAPES = [
    *dict.fromkeys(
        value
        for module in (requests, responses, records, messages, content)
        for value in vars(module).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value)
    )
]


@each("shape", SHAPES)
def test_every_shape_is_frozen_and_slotted(shape: Any) -> None:
    assert shape.__dataclass_params__.frozen
    assert "__slots__" in vars(shape)


@each("shape", SHAPES)
def test_every_field_of_a_shape_is_described(shape: Any) -> None:
    doc = shape.__doc__ or ""
    assert not doc.startswith(f"{shape.__name__}(")
    if "Attributes:" in doc:
        missing = [field.name for field in dataclasses.fields(shape) if f"{field.name}: " not in doc]
        assert missing == []


@each(
    "thing",
    [
        LLMRequest((Message.user("CANARY"),), extra_body={"a": "CANARY"}, native="CANARY"),
        EmbeddingRequest(("CANARY",), extra_body={"a": "CANARY"}),
        LLMResponse("CANARY", reasoning="CANARY", refusal="CANARY", raw={"a": "CANARY"}),
        LLMChunk("CANARY", "CANARY", refusal="CANARY", raw="CANARY"),
        EmbeddingResponse([[0.25]]),
    ],
)
def test_prompts_and_answers_are_in_no_repr(thing: Any) -> None:
    assert "CANARY" not in repr(thing)
    assert "0.25" not in repr(thing)
    assert pickle.loads(pickle.dumps(thing)) == thing  # noqa: S301


def test_an_attempt_says_that_its_calls_were_text() -> None:
    assert str(Attempt("vllm/qwen3", "ok", text_tool_calls=True)) == "answered, with tool calls written as text"


def test_an_attempt_as_a_dict_leaves_out_what_says_nothing() -> None:
    plain = Attempt("openai/gpt-5-mini", "ok", 200, 0.0).as_dict()
    assert plain == {"target": "openai/gpt-5-mini", "outcome": "ok", "status": 200, "seconds": 0.0}
    assert Attempt("mlx/demo", "skipped", reason="tools").as_dict() == {
        "target": "mlx/demo", "outcome": "skipped", "status": None, "seconds": 0.0, "reason": "tools",
    }  # fmt: skip
    full = Attempt(
        "a/b", "timeout", None, 1.5, 0.25, 0.5, "r", "x",
        maybe_billed=True, retry=True, retry_after=2.0, adjusted={"temperature": [1.3, 1.0]},
        text_tool_calls=True, demo=True,
    )  # fmt: skip
    assert json.loads(json.dumps(full.as_dict())) == dataclasses.asdict(full)


def test_a_model_is_named_as_it_is_asked_for() -> None:
    assert ModelInfo("org/name", "openrouter").model_string == "openrouter/org/name"


def test_usage_counts_from_nothing() -> None:
    assert set(dataclasses.asdict(Usage()).values()) == {0}
