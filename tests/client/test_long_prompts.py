"""A prompt that is certainly longer than the window of a target is not sent to it; any other is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, Message
from unified_llm._state import learned_windows
from unified_llm.exceptions import ContextOverflowError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM

KEY = "sk-a-key-of-a-test"
GPT, LONG = "openai/gpt-4", "openai/gpt-4o"
WORDS = "word " * 8_300  # the window of gpt-4 has 8,192 tokens
GATEWAY = "https://gateway.example/v1"


def is_asked(prompt: Any = WORDS, model: str = GPT, options: dict[str, Any] | None = None, **fields: Any) -> bool:
    client = LLMClient({"model": model, "api_key": KEY, **fields})
    targets = ScriptedTargets({client.targets[0].name: [say("Yes.")]})
    with targets.running():
        try:
            client.generate(prompt, **(options or {}))
        except ContextOverflowError:
            assert not targets.asked
            return False
    return True


CALLS: list[Callable[[], Any]] = [
    lambda: LLMClient(GPT, api_key=KEY).generate(WORDS),
    lambda: asyncio.run(LLMClient(GPT, api_key=KEY).agenerate(WORDS)),
    lambda: list(LLMClient(GPT, api_key=KEY).stream(WORDS)),
    lambda: ChatUnified(model=GPT, api_key=KEY).invoke(WORDS),
    lambda: UnifiedLLM(model=GPT, api_key=KEY).complete(WORDS),
]


@each("call", CALLS)
def test_a_prompt_of_more_words_than_the_window_has_tokens_is_refused_before_anything_is_sent(
    call: Callable[[], Any],
) -> None:
    targets = ScriptedTargets({})
    with targets.running(), pytest.raises(ContextOverflowError) as refused:
        call()
    assert targets.asked == []
    assert str(refused.value) == (
        "No target can serve this request (openai/gpt-4: its context window of 8,192 tokens is smaller than the "
        "prompt, which has at least 8,299). Shorten the prompt, or add a fallback with a larger window."
    )
    assert "word word" not in str(refused.value)


def test_in_a_chain_the_target_with_the_larger_window_is_asked() -> None:
    client = LLMClient(GPT, fallbacks=[LONG], api_key=KEY)
    with ScriptedTargets({LONG: [say("Yes.")]}).running():
        response = client.generate(WORDS)
    assert [(attempt.target, attempt.outcome) for attempt in response.attempts] == [(GPT, "skipped"), (LONG, "ok")]


@each("prompt", ["word " * 8_000, "字" * 9_000, "x" * 100_000, " " * 100_000, "a.b;c," * 10_000])
def test_what_might_fit_is_asked(prompt: str) -> None:
    assert is_asked(prompt)


def test_all_messages_count() -> None:
    turns = [Message.system("word " * 3_000), Message.user("word " * 3_000), Message.assistant("word " * 3_000)]
    assert not is_asked([*turns, Message.user("word")])


@each(("model", "fields"), [
    (GPT, {"base_url": GATEWAY}),  # which may call anything gpt-4
    (GPT, {"context_window": 4_096}),  # a wish
    ("azure/gpt-4", {"base_url": "https://r.openai.azure.com"}),  # the name of a deployment
    ("openai/a-model-of-tomorrow", {}),
    ("openai-compatible/gpt-4", {"base_url": GATEWAY}),
])  # fmt: skip
def test_a_target_whose_window_or_tokenizer_is_not_certain_is_asked(model: str, fields: dict[str, Any]) -> None:
    assert is_asked(model=model, **fields)


@each("window", [8_192, 32_768])
def test_a_window_that_the_server_named_is_certain(window: int) -> None:
    target = LLMClient(GPT, base_url=GATEWAY, api_key=KEY).targets[0]
    with learned_windows.apart():
        learned_windows.learn(target, window)
        assert is_asked(base_url=GATEWAY) is (window == 32_768)
        assert is_asked(base_url=GATEWAY, context_window=16_384)


def test_a_prompt_that_the_api_cuts_to_its_window_is_asked() -> None:
    assert is_asked(options={"extra_body": {"truncation": "auto"}}, api="responses")
    assert is_asked(extra_body={"truncation": "auto"}, api="responses")
