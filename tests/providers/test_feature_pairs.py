"""Pairs of features: the request that each row gets for each pair, against the strict upstreams' validators."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from integration_tests.fakes import anthropic_rules, cohere, gemini_schema, ollama
from integration_tests.support import upstream_schema
from tests.support.each import each
from unified_llm._core.features import FeaturePair
from unified_llm._core.pairs import conflicts
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._providers import registry
from unified_llm._providers.capabilities import missing
from unified_llm._providers.feature_pairs import NEEDS, PAIRS, SUPPORT, describe_support
from unified_llm._providers.spec import ProviderSpec
from unified_llm._structured.plan import plan_emulation
from unified_llm.types import LLMRequest, Message, ResponseFormat, Tool

SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT: Final = ResponseFormat({**SCHEMA, "additionalProperties": False}, "place")
TOOL: Final = Tool("look", "Look something up.", SCHEMA)
BUILTIN: Final[Mapping[str, dict[str, Any]]] = {
    "gemini": {"googleSearch": {}},
    "anthropic": {"type": "web_search_20250305", "name": "web_search"},
}
# Fields that some rows of OpenAI's format add or rename, which the validator of OpenAI's own API does not know.
OF_ROWS: Final = ("thinking", "reasoning", "reasoning_split", "prefix")


def make_request(pair: FeaturePair, row: ProviderSpec) -> LLMRequest:
    user = (Message.user("Which city? Answer in JSON."),)
    builtin = Tool("search", builtin=BUILTIN.get(row.format, {"type": "web_search"}))
    return {
        "tools with JSON": LLMRequest(user, tools=(TOOL,), response_format=FORMAT),
        "streaming with JSON": LLMRequest(user, stream=True, response_format=FORMAT),
        "thinking with a forced tool": LLMRequest(user, tools=(TOOL,), tool_choice="look", reasoning_effort="high"),
        "built-in tools with functions": LLMRequest(user, tools=(TOOL, builtin)),
        "prefill with thinking": LLMRequest((*user, Message("assistant", '{"city"')), reasoning_effort="high"),
        "tools with streaming": LLMRequest(user, tools=(TOOL,), stream=True),
    }[pair]


def make_target(row: ProviderSpec, model: str) -> Target:
    profile = registry.model_profile(row, model)
    return Target(
        row.name,
        model,
        profile.format,
        base_url="http://127.0.0.1:1/v1",
        features=profile.features,
        exclusive=profile.exclusive,
        quirks=profile.quirks,
    )


def validate(target: Target, body: dict[str, Any], *, stream: bool) -> None:
    match target.format:
        case "anthropic":
            anthropic_rules.check(body, version="2023-06-01", counting=False)
        case "gemini":
            method = "streamGenerateContent" if stream else "generateContent"
            gemini_schema.read(method, json.dumps(body).encode(), target.model)
        case "cohere":
            cohere.Chat.model_validate(body)
        case "ollama":
            ollama.Chat.model_validate(body)
        case _:
            known = {name: value for name, value in body.items() if name not in OF_ROWS}
            turns = [{name: value for name, value in turn.items() if name not in OF_ROWS} for turn in body["messages"]]
            known["messages"] = turns
            upstream_schema.parse(upstream_schema.ChatBody, json.dumps(known).encode())


def asks_for_json(body: Mapping[str, Any]) -> bool:
    nested = [body, body.get("output_config", {}), body.get("generationConfig", {})]
    return any(fields.get(name) for fields in nested for name in ("response_format", "format", "responseMimeType"))


def forces_a_tool(body: Mapping[str, Any]) -> bool:
    mode = body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode")
    return mode == "ANY" or body.get("tool_choice") not in (None, "auto")


def thinks(body: Mapping[str, Any]) -> bool:
    names = ("reasoning_effort", "thinking", "reasoning", "think", "thinkingConfig", "output_config")
    return any(name in fields for fields in (body, body.get("generationConfig", {})) for name in names)


# Whether a body asks for both natively.
COMBINES: Final[Mapping[FeaturePair, Callable[[Mapping[str, Any]], bool]]] = {
    "tools with JSON": lambda body: bool(body.get("tools")) and asks_for_json(body),
    "streaming with JSON": asks_for_json,
    "thinking with a forced tool": forces_a_tool,
    "built-in tools with functions": lambda body: len(body["tools"]) > 1,
    "prefill with thinking": thinks,
    "tools with streaming": lambda body: bool(body.get("tools")),
}
MODELS: Final = {
    "gemini": ("gemini-2.5-flash", "gemini-3-pro", "gemini-flash-latest"),
    "anthropic": ("claude-sonnet-4-5", "claude-opus-4-7"),
    "ollama": ("qwen3",),
    "xai": ("some-model", "grok-4.5"),
}
CHAT_ROWS: Final = [row for row in registry.ROWS if row.format != "mlx"]


@each("row", CHAT_ROWS)
def test_each_cell_is_what_the_strict_upstream_is_sent(row: ProviderSpec) -> None:
    for model in MODELS.get(row.name, ("some-model",)):
        target = make_target(row, model)
        for pair in PAIRS:
            cell = describe_support(row.name, target.features, model, pair)
            request = make_request(pair, row)
            if (reason := missing(request, target)) is not None:
                assert cell is None or cell.support == "skipped", (model, pair, reason)
                continue
            assert cell is not None, (model, pair)
            assert cell.support != "skipped", (model, pair)
            emulation = plan_emulation(request, [target])
            sent = emulation.attempt(target).request if emulation else request
            body = json.loads(codec_for(target.format).encode(sent, target).body or b"")
            if pair != "built-in tools with functions":  # which the validators of other formats do not know
                validate(target, body, stream=sent.stream)
            combines = COMBINES[pair](body)
            if "stream" in pair:
                combines = combines and sent.stream
            no_effort = pair == "prefill with thinking" and "reasoning_effort" in target.quirks.drop
            json_mode = pair == "streaming with JSON" and "json_schema" not in target.features
            assert combines == (cell.support == "native") or no_effort or json_mode, (model, pair, cell, body)


def test_every_pair_has_a_line_for_all_rows_and_every_line_a_source() -> None:
    names = {row.name for row in registry.ROWS}
    assert set(SUPPORT) == set(NEEDS) == set(PAIRS)
    for pair, lines in SUPPORT.items():
        assert (lines[-1].providers, lines[-1].models) == ((), "*"), pair
        for line in lines:
            assert line.source
            assert set(line.providers) <= names
            assert line.support != "skipped" or pair in {"built-in tools with functions", "prefill with thinking"}


def test_a_pair_is_combined_only_where_both_are_asked_for() -> None:
    target = Target("a", "b", "openai_chat", exclusive=frozenset(PAIRS))
    row = registry.row("openai")
    for pair in PAIRS:
        assert pair in conflicts(make_request(pair, row), target)
        assert conflicts(make_request(pair, row), Target("a", "b", "openai_chat")) == frozenset()
    plain = LLMRequest((Message.user("Hello"),))
    assert conflicts(plain, target) == frozenset()
    thinking = Target("a", "b", "anthropic", exclusive=frozenset(PAIRS), extra_body={"thinking": {"type": "enabled"}})
    assert conflicts(LLMRequest((Message("assistant", "So"),)), thinking) == {"prefill with thinking"}
    off = Target("a", "b", "anthropic", exclusive=frozenset(PAIRS), defaults={"reasoning_effort": "none"})
    assert conflicts(LLMRequest((Message("assistant", "So"),)), off) == frozenset()


def test_a_last_resort_is_skipped_for_a_pair_that_it_cannot_combine() -> None:
    for pair in ("tools with JSON", "tools with streaming"):
        request = make_request(pair, registry.row("openai"))
        features = registry.row("openai").features
        target = Target("a", "b", "openai_chat", features=features, exclusive=frozenset({pair}), last_resort=True)
        assert "in one request" in (missing(request, target) or "")


def test_a_row_that_a_user_added_is_like_the_row_of_its_format() -> None:
    for wire_format, like in (("openai_chat", "openai-compatible"), ("ollama", "ollama"), ("gemini", "gemini")):
        added = ProviderSpec("added", "Added", base_url="https://example.com", format=wire_format)
        expected = registry.model_profile(registry.row(like), "some-model").exclusive
        assert registry.model_profile(added, "some-model").exclusive == expected
    answering = ProviderSpec("added", "Added", format="user", instance=(1, object()))
    assert registry.model_profile(answering, "some-model").exclusive == frozenset()
