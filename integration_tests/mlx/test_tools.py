"""Tools of models in this process, on a tiny model with random weights: what it writes is kept valid by constraints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.support.tiny_models import Shape, make_model, write_tokenizer
from tests.backends.mlx.test_tool_formats import TOOLS, WRITTEN
from tests.support.each import each
from unified_llm import LLMClient, LLMResponse, Message
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engines import close_engines
from unified_llm._backends.mlx.grammars import Grammars
from unified_llm._backends.mlx.tool_formats import find_format
from unified_llm._backends.mlx.tool_formats.grammars import constrain_calls
from unified_llm._lib.json_schema import find_mismatch
from unified_llm.exceptions import BadRequestError
from unified_llm.types import ResponseFormat, Tool

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

WEATHER = Tool(
    "weather",
    "Tell the weather.",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 10}, "days": {"type": "integer", "maximum": 9}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
)
UNIT = Tool(
    "unit",
    "Choose a unit.",
    {
        "type": "object",
        "properties": {"unit": {"enum": ["C", "F"]}},
        "required": ["unit"],
        "additionalProperties": False,
    },
)
TEMPLATES = {
    "json_tools": None,
    "mistral": "{{ messages | tojson }}{{ tools | tojson }}{% if false %}[TOOL_CALLS]x[ARGS]{% endif %}",
    "llama3": "{{ messages | tojson }}{{ tools | tojson }}{% if false %}<|python_tag|>{% endif %}",
    "kimi_k2": "{{ messages | tojson }}{{ tools | tojson }}{% if false %}<|tool_calls_section_begin|>{% endif %}",
    "qwen3_coder": "{{ messages | tojson }}{{ tools | tojson }}{% if false %}<tool_call>\n<function={% endif %}",
    "glm47": "{{ messages | tojson }}{{ tools | tojson }}{% if false %}<arg_key>{% endif %}",
    "minimax_m2": "{{ messages | tojson }}{{ tools | tojson }}{% if false %}<minimax:tool_call>{% endif %}",
    "deepseek_v3": "{{ messages | tojson }}{{ tools | tojson }}"
    "{% if false %}<\uff5ctool\u2581sep\uff5c>```json{% endif %}",
    "deepseek_v31": "{{ messages | tojson }}{{ tools | tojson }}{% if false %}<\uff5ctool\u2581sep\uff5c>{% endif %}",
    "harmony": "{{ messages | tojson }}{{ tools | tojson }}"
    "{% if false %}<|channel|>commentary to=functions.x<|message|>{% endif %}",
    "gemma4": "{{ messages | tojson }}{{ tools | tojson }}{% if false %}<|tool_call><tool_call|>{% endif %}",
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tools") / "model")


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_engines()


def client(folder: Path, **settings: Any) -> LLMClient:
    return LLMClient(f"mlx/{folder}", max_tokens=300, temperature=1.0, **settings)


def prompt_tokens(response: LLMResponse) -> int:
    assert response.usage is not None
    return response.usage.prompt_tokens


def ask(folder: Path, way: str, **options: Any) -> Any:
    """Ask in one of the ways; return the calls and the reason of the end."""
    messages = [Message.user("What is the weather in Oslo?")]
    if way == "whole":
        response = client(folder).generate(messages, **options)
        return response.tool_calls, response.finish_reason
    response = asyncio.run(client(folder).agenerate(messages, **options))
    return response.tool_calls, response.finish_reason


@each("way", ["whole", "async"])
def test_a_required_call_is_valid_with_any_seed(folder: Path, way: str) -> None:
    for seed in range(4):
        calls, reason = ask(folder, way, tools=[WEATHER, UNIT], tool_choice="required", seed=seed)
        assert reason == "tool_calls"
        (call,) = calls
        assert call.name in {"weather", "unit"}
        assert json.loads(call.raw_arguments) == call.arguments
        assert not call.from_text
        if call.name == "unit":
            assert call.arguments["unit"] in {"C", "F"}
        else:
            assert isinstance(call.arguments["days"], int)


def test_a_named_tool_is_called(folder: Path) -> None:
    for name in ("weather", "unit"):
        response = client(folder).generate("x", tools=[WEATHER, UNIT], tool_choice=name, seed=1)
        assert [call.name for call in response.tool_calls] == [name]
        assert response.content == ""


def test_a_stop_string_does_not_end_a_call_that_is_required(folder: Path) -> None:
    for stop in ("{", "\n", "name", "</tool_call>"):
        response = client(folder).generate("x", tools=[UNIT], tool_choice="required", seed=1, stop=[stop])
        assert response.tool_calls[0].arguments["unit"] in {"C", "F"}
        assert len(response.attempts) == 1


def test_a_call_that_is_required_conforms_to_nothing_else(folder: Path) -> None:
    body = {"structured_outputs": {"regex": "[ab]{3}"}}
    for choice in ("required", "unit"):
        with pytest.raises(BadRequestError, match="has to be a call, and cannot conform to extra_body") as refused:
            client(folder).generate("x", tools=[UNIT], tool_choice=choice, extra_body=body)
        assert len(refused.value.attempts) == 1
    assert set(client(folder).generate("x", tools=[UNIT], extra_body=body).content) <= {"a", "b"}


def test_a_call_streams(folder: Path) -> None:
    chunks = list(client(folder).stream("x", tools=[UNIT], tool_choice="required", seed=3))
    (call,) = [call for chunk in chunks for call in chunk.tool_calls]
    assert call.name == "unit"
    assert json.loads(call.arguments)["unit"] in {"C", "F"}
    assert "".join(chunk.content for chunk in chunks) == ""
    assert chunks[-1].finish_reason == "tool_calls"


def test_none_offers_no_tools(folder: Path) -> None:
    free = client(folder).generate("x", seed=1)
    none = client(folder).generate("x", tools=[UNIT], tool_choice="none", seed=1)
    assert none.content == free.content
    auto = client(folder).generate("x", tools=[UNIT], seed=1)
    assert prompt_tokens(auto) > prompt_tokens(free), "the template writes the tools"


@pytest.mark.parametrize("has_tokens", [True, False])
@pytest.mark.parametrize("name", [name for name, template in TEMPLATES.items() if template])
def test_a_required_call_is_valid_in_the_formats_of_other_families(
    tmp_path: Path, name: str, *, has_tokens: bool
) -> None:
    wrapping = find_format(TEMPLATES[name] or "").wrapping
    tags = wrapping.tags if wrapping is not None and has_tokens else ()
    folder = make_model(tmp_path / "model", template=TEMPLATES[name], tags=tags)
    for seed in (1, 2):
        response = client(folder).generate("x", tools=[WEATHER, UNIT], tool_choice="required", seed=seed)
        (call,) = response.tool_calls
        assert find_mismatch(call.arguments, {"weather": WEATHER, "unit": UNIT}[call.name].parameters) is None
        assert response.content == ""


GEMMA = '<|tool_call>call:weather{city:<|"|>Rome<|"|>,days:2}<tool_call|>'


@each("name", [*(name for name in WRITTEN if name in TEMPLATES), "gemma4"])
def test_a_grammar_allows_what_the_family_writes(tmp_path: Path, name: str) -> None:
    tool_format = find_format(TEMPLATES[name] or "<tool_call>")
    assert tool_format.wrapping is not None
    for tags in ((), tool_format.wrapping.tags):
        write_tokenizer(tmp_path, Shape(), tags=tags)
        from mlx_lm.tokenizer_utils import load

        grammars = Grammars(load(tmp_path))
        tokens = grammars.guide().tokenize_str(
            {"gemma4": GEMMA, **WRITTEN}[name].removeprefix("<|python_tag|>"), parse_special=True
        )
        matcher = grammars.compile(constrain_calls(TOOLS, tool_format))
        assert matcher.try_consume_tokens(tokens) == len(tokens), tags
        assert matcher.is_accepting()


NESTED = Tool(
    "nested",
    "",
    {
        "type": "object",
        "properties": {
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "words": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
            "size": {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"]},
        },
        "required": ["size"],
    },
)


@each("name", ["gemma4", "qwen3_coder", "glm47", "minimax_m2"])
@each("has_tokens", [True, False])
def test_nested_arguments_are_valid_in_formats_that_are_no_json(tmp_path: Path, name: str, *, has_tokens: bool) -> None:
    wrapping = find_format(TEMPLATES[name] or "").wrapping
    assert wrapping is not None
    tags = wrapping.tags if has_tokens else ()
    folder = make_model(tmp_path / f"{name}{has_tokens}", template=TEMPLATES[name], tags=tags)
    for seed in (1, 2, 3):
        response = client(folder).generate("x", tools=[NESTED], tool_choice="required", seed=seed)
        if response.finish_reason != "length":
            assert find_mismatch(response.tool_calls[0].arguments, NESTED.parameters) is None


def test_calls_and_results_go_back_to_the_template(folder: Path) -> None:
    asked = Message.user("x")
    response = client(folder).generate([asked], tools=[UNIT], tool_choice="required", seed=1)
    (call,) = response.tool_calls
    answered = [asked, Message.assistant("", tool_calls=response.tool_calls), Message.tool("It is C.", call.id)]
    first = client(folder).generate([asked], tools=[UNIT], seed=1)
    second = client(folder).generate(answered, tools=[UNIT], seed=1)
    assert prompt_tokens(second) > prompt_tokens(first) + 10


def test_reasoning_effort_switches_reasoning(folder: Path) -> None:
    plain = client(folder).generate("x", seed=1)
    off = client(folder).generate("x", seed=1, reasoning_effort="none")
    assert prompt_tokens(off) > prompt_tokens(plain), "the template says so"


def test_json_beside_tools_is_a_call_or_the_json(folder: Path) -> None:
    properties = {"ok": {"type": "boolean"}}
    schema = {"type": "object", "properties": properties, "required": ["ok"], "additionalProperties": False}

    for seed in range(3):
        response = client(folder).generate("x", tools=[UNIT], response_format=ResponseFormat(schema), seed=seed)
        assert response.tool_calls or isinstance(json.loads(response.content)["ok"], bool)
