"""Calls that a model with random weights begins by itself: from their opening on they are kept valid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.mlx.test_tools import TEMPLATES, UNIT, WEATHER
from integration_tests.support.tiny_models import TAGS, Shape, make_model
from tests.support.each import each
from tests.support.mlx_calls import collect, prompt, submit
from unified_llm import LLMClient, LLMResponse, MLXConfig
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.constraints import ConstrainedTokens
from unified_llm._backends.mlx.engine_types import Constraint, EngineKey
from unified_llm._backends.mlx.engines import close_engines, get_engine
from unified_llm._backends.mlx.grammars import Grammars
from unified_llm._backends.mlx.tool_formats import DEFAULT, FORMATS
from unified_llm._backends.mlx.tool_formats.grammars import constrain_begun_calls
from unified_llm._lib.json_schema import find_mismatch
from unified_llm.types import Tool

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

TOOLS = (WEATHER, UNIT)
STRANGE = Tool("strange", "", {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}})
BY_NAME = {tool.name: tool for tool in (*TOOLS, STRANGE)}
PATHS: dict[str, dict[str, Any]] = {
    "batch": {},
    "serial": {"kv_bits": 8, "kv_group_size": 32},
    "draft": {"draft_model": None},
}

OPENINGS = {
    "mistral": "[TOOL_CALLS]", "llama3": "<|python_tag|>", "kimi_k2": "<|tool_calls_section_begin|>",
    "gemma4": "<|tool_call>", "qwen3_coder": "<tool_call>", "minimax_m2": "<minimax:tool_call>",
    "deepseek_v31": "<\uff5ctool\u2581calls\u2581begin\uff5c>",
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Models of the formats whose tags are tokens, and a draft model for the first."""
    root = tmp_path_factory.mktemp("begun")
    wide = Shape(hidden=128)  # heads that a quantized cache can divide
    folders = {"json_tools": make_model(root / "json_tools", wide), "draft": make_model(root / "draft", seed=1)}
    for name in OPENINGS:
        tags = next(one.wrapping.tags for one in FORMATS if one.name == name and one.wrapping is not None)
        folders[name] = make_model(root / name, template=TEMPLATES[name], tags=tags)
    yield folders
    close_engines()


def token_of(folder: Path, tag: str) -> int:
    added: list[dict[str, Any]] = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    return next(int(token["id"]) for token in added if token["content"] == tag)


def ask(folder: Path, opening: str, **options: Any) -> LLMResponse:
    """Ask with a bias by which the model begins a call at some place."""
    bias = {token_of(folder, opening): 12.0}
    settings = {"max_tokens": 400, "temperature": 1.0, "seed": 1, "mlx": options.pop("mlx", MLXConfig())}
    client = LLMClient(f"mlx/{folder}", **settings)
    return client.generate("x", tools=options.pop("tools", TOOLS), extra_body={"logit_bias": bias}, **options)


def assert_valid(response: LLMResponse, count: int | None = None) -> None:
    assert response.tool_calls
    assert count in {None, len(response.tool_calls)}
    for call in response.tool_calls:
        assert find_mismatch(call.arguments, BY_NAME[call.name].parameters) is None


@each("path", list(PATHS))
def test_a_call_that_the_model_begins_is_valid_on_every_path(folders: dict[str, Path], path: str) -> None:
    settings = dict(PATHS[path])
    if "draft_model" in settings:
        settings = {"draft_model": str(folders["draft"])}
    for seed in (1, 2, 3):
        response = ask(
            folders["json_tools"], "<tool_call>", mlx=MLXConfig(**settings), parallel_tool_calls=False, seed=seed
        )
        assert response.finish_reason == "tool_calls"
        assert_valid(response, 1)


@each(("name", "opening"), list(OPENINGS.items()))
def test_a_begun_call_is_valid_in_the_format_of_the_family(folders: dict[str, Path], name: str, opening: str) -> None:
    assert_valid(ask(folders[name], opening, parallel_tool_calls=False), 1)


def test_after_a_call_the_response_goes_on_and_may_have_more(folders: dict[str, Path]) -> None:
    response = ask(folders["json_tools"], "<tool_call>")
    assert response.finish_reason == "length" or len(response.tool_calls) > 1
    assert_valid(response)


def test_a_schema_that_cannot_be_expressed_does_no_harm_to_calls_that_a_model_may_begin(
    folders: dict[str, Path],
) -> None:
    response = ask(folders["json_tools"], "<tool_call>", tools=[STRANGE], max_tokens=40)
    assert response.finish_reason == "length"


def test_free_text_is_what_it_is_without_constraints(folders: dict[str, Path]) -> None:
    engine = get_engine(EngineKey(folders["json_tools"]))
    constraint = constrain_begun_calls(TOOLS, DEFAULT, is_parallel=True)
    options = {"temperature": 1.0, "seed": 5, "max_tokens": 60, "logit_bias": {1020: -100.0}}
    free = collect(submit(engine, prompt("x", **options)))
    assert collect(submit(engine, prompt("x", constraint=constraint, **options))).text == free.text


class Steps:
    """Steps of a response to a constraint: which texts may follow what was written."""

    def __init__(self, folder: Path, constraint: Constraint) -> None:
        from mlx_lm.tokenizer_utils import load as load_tokenizer

        self.grammars = Grammars(load_tokenizer(folder))
        self.change = ConstrainedTokens(constraint, self.grammars)
        self.size = self.grammars.guide().vocab_size

    def allowed(self, text: str) -> set[int]:
        """Return the tokens that may follow a text."""
        import mlx.core as mx

        guide = self.grammars.guide()
        tokens = [token for part in text.split("|") for token in guide.tokenize_str(part, parse_special=True)]
        masked = self.change(mx.array(tokens, dtype=mx.int32), mx.zeros((1, self.size)))
        logits: Any = masked[0].tolist()
        return {token for token, logit in enumerate(logits) if logit == 0}

    def token(self, text: str) -> int:
        """Return the first token of a text."""
        return self.grammars.guide().tokenize_str(text, parse_special=True)[0]


PLAIN = ("<think>", "</think>")


def test_an_opening_in_pieces_is_found_and_tokens_may_be_taken_back(tmp_path: Path) -> None:
    assert set(PLAIN) < set(TAGS)
    folder = make_model(tmp_path / "model", tags=PLAIN)
    constraint = constrain_begun_calls(TOOLS, DEFAULT, is_parallel=True)
    assert constraint is not None
    steps = Steps(folder, constraint)
    everything = steps.size
    call = '<tool_call>\n{"name": "unit", "arguments": {"unit": "C"}}\n</tool_call>'
    assert len(steps.allowed("I say <tool")) == everything
    assert len(steps.allowed("I say <tool_call>")) < 10
    assert len(steps.allowed('I say <tool_call>\n{"name": "unit')) < 10
    for text in ("I say <tool", "I say <tool box", "I say", "", "I say <tool_call", call, f"{call} and", f"{call}\n<"):
        assert len(steps.allowed(text)) == everything, text
    assert len(steps.allowed(f"{call}\n{call[:30]}")) < 10
    assert len(steps.allowed(f"{call}\n{call[:20]}")) < 10
