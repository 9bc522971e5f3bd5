"""Reasoning that a model with random weights begins by itself: what the response has to conform to begins after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from integration_tests.mlx.test_begun_calls import Steps, token_of
from integration_tests.mlx.test_tools import UNIT
from integration_tests.support.tiny_models import REASONING_TEMPLATE, make_model
from tests.support.each import each
from unified_llm import LLMClient, MLXConfig
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine_types import Constraint
from unified_llm._backends.mlx.engines import close_engines
from unified_llm._backends.mlx.tool_formats import DEFAULT
from unified_llm._backends.mlx.tool_formats.grammars import constrain_begun_calls

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}

CHOICE = {"structured_outputs": {"choice": ["yes", "no"]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield make_model(tmp_path_factory.mktemp("reasoning") / "model", template=REASONING_TEMPLATE)
    close_engines()


def ask(folder: Path, **options: Any) -> Any:
    """Ask a model that prefers the tags of reasoning."""
    bias = {token_of(folder, "<think>"): 20.0, token_of(folder, "</think>"): 16.0}
    client = LLMClient(f"mlx/{folder}", max_tokens=200, temperature=1.0, mlx=options.pop("mlx", MLXConfig()))
    return client.generate("x", extra_body={"logit_bias": bias, **options.pop("extra_body", {})}, **options)


@each("path", ["batch", "draft"])
def test_a_response_may_begin_with_reasoning_and_then_conforms(folder: Path, path: str) -> None:
    mlx = MLXConfig(draft_model=str(folder)) if path == "draft" else MLXConfig()
    for seed in (1, 2, 3):
        response = ask(folder, mlx=mlx, seed=seed, extra_body=CHOICE)
        assert response.finish_reason == "stop"
        assert response.content in {"yes", "no"}
        assert response.usage.completion_tokens > response.usage.reasoning_tokens > 1
        called = ask(folder, mlx=mlx, tools=[UNIT], tool_choice="required", seed=seed)
        assert [call.name for call in called.tool_calls] == ["unit"]
        assert called.usage.reasoning_tokens > 1


@each(
    "off",
    [{"reasoning_effort": "none"}, {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}],
)
def test_with_reasoning_off_a_response_conforms_at_once(folder: Path, off: dict[str, Any]) -> None:
    response = ask(folder, seed=1, **{**off, "extra_body": {**CHOICE, **off.get("extra_body", {})}})
    assert response.content in {"yes", "no"}
    assert (response.reasoning, response.usage.reasoning_tokens) == (None, 0)


def test_a_model_whose_template_shows_no_reasoning_writes_none(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", template="{{ messages | tojson }}")
    response = ask(folder, seed=1, extra_body=CHOICE)
    assert (response.reasoning, response.usage.reasoning_tokens) == (None, 0)


@each("tags", [("<think>", "</think>"), ()])
def test_the_opening_tag_may_stand_at_the_beginning_alone(tmp_path: Path, tags: tuple[str, ...]) -> None:
    steps = Steps(make_model(tmp_path / str(len(tags)), tags=tags), replace(JSON, blocks=("<think>",)))
    opening, brace = steps.token("<think>"), steps.token("{")
    first = steps.allowed("")
    assert {opening, brace} <= first
    assert len(first) < 20
    assert opening not in steps.allowed("{")
    assert len(steps.allowed("<think>")) == steps.size
    assert len(steps.allowed("<think>Well {")) == steps.size
    assert steps.allowed("<think>Well</think>") == first - {opening}
    assert steps.allowed("") == first, "all tokens were taken back"


def test_a_grammar_that_allows_the_tag_goes_first(tmp_path: Path) -> None:
    constraint = Constraint("regex", "<think>[ab]{2}|<t>", blocks=("<think>",))
    steps = Steps(make_model(tmp_path / "model", tags=()), constraint)
    assert len(steps.allowed("<think>")) < 20
    assert len(steps.allowed("<t")) < 10


def test_calls_within_reasoning_are_not_constrained(tmp_path: Path) -> None:
    constraint = constrain_begun_calls([UNIT], DEFAULT, is_parallel=True)
    assert constraint is not None
    steps = Steps(make_model(tmp_path / "model", tags=()), replace(constraint, blocks=("<think>",)))
    assert len(steps.allowed("<think>Shall I <tool_call>")) == steps.size
    assert len(steps.allowed("<think>Yes.</think>So <tool_call>")) < 10
    assert len(steps.allowed("So <think> <tool_call>")) < 10


JSON = Constraint("json_schema", json.dumps(SCHEMA))
