"""Default limits of an attempt, by the kind of target and by how hard it is asked to think."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from tests.support.each import each
from unified_llm import LLMClient, LLMConfig, configure, register_provider
from unified_llm._config import timeouts
from unified_llm._core.target import Target
from unified_llm._providers import registry
from unified_llm.types import LLMRequest, Message

KEY = "sk-test-0123456789"
REST = math.inf
USUAL, REASONING, HARD = (20, 60, 30, 0), (60, 180, 180, 0), (300, REST, 300, 0)
LOCAL, LOCAL_HARD = (60, 180, 300, 300), (300, REST, 300, 300)
FLASH = "gemini/gemini-2.5-flash"


def gemini_budget(tokens: int) -> dict[str, Any]:
    return {"extra_body": {"generationConfig": {"thinkingConfig": {"thinkingBudget": tokens}}}}


def only_target(model: str, **fields: Any) -> Target:
    if not model.startswith(("ollama", "mlx", "vllm", "lmstudio", "llamacpp")):
        fields["api_key"] = KEY
    return LLMClient(LLMConfig(model=model, **fields)).targets[0]


def limits(target: Target) -> tuple[float, float, float, float]:
    """Return the seconds to the first token and to a whole response, the former on the last target, and when cold."""
    timing = target.timing
    return timing.first_token, timing.whole, timing.last_first_token, timing.cold


@each(
    ("model", "fields", "expected"),
    [
        ("openai/gpt-4o", {}, USUAL),
        ("anthropic/claude-haiku-4-5", {}, USUAL),
        ("openai/text-embedding-3-small", {}, USUAL),
        ("perplexity/sonar-pro", {}, USUAL),
        ("openai/gpt-5-mini", {}, REASONING),
        ("openai/gpt-5-mini", {"reasoning_effort": "low"}, REASONING),
        ("openai/gpt-5-mini", {"reasoning_effort": "medium"}, REASONING),
        ("openai/gpt-5-mini", {"reasoning_effort": "high"}, HARD),
        ("openai/gpt-5.2", {"reasoning_effort": "xhigh"}, HARD),
        ("openai/gpt-4o", {"reasoning_effort": "high"}, USUAL),  # which takes no effort
        ("openai/gpt-5-pro", {}, HARD),
        ("openai/o3-pro-2025-06-10", {}, HARD),
        ("openai/o3-deep-research", {}, HARD),
        ("perplexity/sonar-deep-research", {}, HARD),
        ("openrouter/openai/o3-pro", {}, HARD),
        ("anthropic/claude-sonnet-4-5", {"reasoning_effort": "low"}, REASONING),
        ("anthropic/claude-sonnet-4-5", {"extra_body": {"thinking": {"type": "enabled", "budget_tokens": 2048}}}, HARD),
        ("anthropic/claude-haiku-4-5", {"extra_body": {"thinking": {"type": "disabled"}}}, USUAL),
        ("anthropic/claude-opus-4-6", {"extra_body": {"output_config": {"effort": "max"}}}, HARD),
        (FLASH, gemini_budget(-1), HARD),
        (FLASH, gemini_budget(0), USUAL),
        ("openrouter/qwen/qwen3-8b", {"extra_body": {"reasoning": {"max_tokens": 4000}}}, HARD),
        ("openrouter/qwen/qwen3-8b", {"extra_body": {"reasoning": {"enabled": True}}}, REASONING),
        ("ollama/llama3.2", {}, LOCAL),
        ("vllm/org/model", {}, LOCAL),
        ("mlx/demo", {}, LOCAL),
        ("ollama/deepseek-r1", {}, LOCAL),
        ("ollama/gpt-oss", {"reasoning_effort": "high"}, LOCAL_HARD),
        ("ollama/qwen3", {"extra_body": {"think": "high"}}, LOCAL_HARD),
        ("zai/glm-4.5", {"extra_body": {"thinking": {"type": "enabled"}}}, REASONING),
        ("together/qwen3", {"extra_body": {"reasoning": True, "user": "high"}}, REASONING),
        ("together/qwen3", {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}, USUAL),
    ],
)  # fmt: skip
def test_limits_depend_on_the_kind_of_target(model: str, fields: dict[str, Any], expected: tuple[float, ...]) -> None:
    target = only_target(model, **fields)
    assert limits(target) == expected
    assert not target.timing.fixed


@each("model", ["openai/gpt-4o", "openai/gpt-5-pro", "ollama/llama3.2"])
def test_a_timeout_of_the_users_replaces_all_of_them(model: str) -> None:
    timing = only_target(model, timeout=2).timing
    for streaming, last, cold in [(True, False, False), (False, False, True), (True, True, True), (False, True, False)]:
        assert timing.limit(streaming=streaming, last=last, cold=cold) == 2
    configure(timeout=3)
    assert only_target(model).timing.limit(streaming=False, last=True, cold=True) == 3


def for_call(target: Target, primary: Target | None = None, **fields: Any) -> tuple[float, ...]:
    request = LLMRequest((Message.user("Hi"),), **fields)
    return limits(timeouts.for_request(target, request, primary or target))


@each(
    ("model", "configured", "of_call", "expected"),
    [
        ("openai/gpt-5-mini", {}, {"reasoning_effort": "high"}, HARD),
        ("openai/gpt-5-mini", {"reasoning_effort": "high"}, {"reasoning_effort": "low"}, REASONING),
        ("openai/gpt-4o", {}, {"reasoning_effort": "high"}, USUAL),
        ("openai/gpt-5-pro", {}, {"reasoning_effort": "low"}, HARD),
        ("anthropic/claude-sonnet-4-5", {}, {"extra_body": {"thinking": {"budget_tokens": 1024}}}, HARD),
        ("ollama/gpt-oss", {}, {"reasoning_effort": "high"}, LOCAL_HARD),
        ("openai/gpt-5-mini", {"timeout": 5}, {"reasoning_effort": "high"}, (5, 5, 30, 0)),
        ("openai/gpt-4o", {}, {"extra_body": {"user": "u"}}, USUAL),
    ],
)
def test_what_a_call_says_of_thinking_takes_precedence(
    model: str, configured: dict[str, Any], of_call: dict[str, Any], expected: tuple[float, ...]
) -> None:
    target = only_target(model, **configured)
    assert for_call(target, **of_call) == expected
    connect = replace(target, timing=replace(target.timing, connect=1.0))
    request = LLMRequest((Message.user("Hi"),), **of_call)
    assert timeouts.for_request(connect, request, target).timing.connect == 1.0


def test_a_thinking_budget_lengthens_the_time_of_those_targets_that_get_it() -> None:
    claude, gpt = only_target("anthropic/claude-sonnet-4-5"), only_target("openai/gpt-4o")
    body = {"thinking": {"type": "enabled", "budget_tokens": 4096}}
    assert for_call(claude, extra_body=body) == HARD
    assert for_call(gpt, claude, extra_body=body) == USUAL


def test_a_registered_provider_may_have_a_limit_of_its_own() -> None:
    register_provider("slowly", base_url="https://slowly.example/v1", first_token=45.0)
    try:
        assert limits(only_target("slowly/one")) == (45, 60, 45, 0)
    finally:
        registry.unregister("slowly")
