"""Programs for the Responses API at providers that have another API: tools over several requests, and streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from integration_tests.fakes import anthropic, gemini, ollama
from unified_llm import LLMConfig
from unified_llm.openai_style import OpenAI

TOOL = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SERVERS: dict[str, tuple[Callable[[], Any], str]] = {
    "anthropic/claude-haiku-4-5": (anthropic.FakeAnthropic, anthropic.KEY),
    "gemini/gemini-2.5-flash": (gemini.FakeGemini, gemini.KEY),
    "ollama/qwen3": (ollama.FakeOllama, ollama.KEY),
}
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize("reasoning", [{}, {"reasoning": {"effort": "low"}}], ids=["plain", "reasoning"])
@pytest.mark.parametrize("model", SERVERS)
def test_a_conversation_with_tools_fails_over_to_another_api(model: str, reasoning: Any) -> None:
    make, key = SERVERS[model]
    with make() as server:
        fallback = LLMConfig(model=model, base_url=server.address, api_key=key)
        client = OpenAI(base_url=NOWHERE, api_key="sk-none-0123456789", fallbacks=[fallback], max_retries=0)
        items: list[Any] = [{"role": "user", "content": "Please use the weather tool for Oslo."}]
        fields: dict[str, Any] = {"model": "m", "tools": [TOOL], "max_output_tokens": 2000, **reasoning}
        first = client.responses.create(input=items, **fields)
        assert first.unified_llm["used_fallback"] is True
        items += first.output
        calls = [item for item in first.output if item.type == "function_call"]
        items += [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
        if not calls:
            items.append({"role": "user", "content": "And now?"})
        second = client.responses.create(input=items, **fields)
        assert second.status == "completed"
        events: list[Any] = [*client.responses.create(input=items, stream=True, **fields)]
        assert [event.sequence_number for event in events] == [*range(len(events))]
        assert events[-1].type == "response.completed"
        kinds = [item.type for item in events[-1].response.output if item.get("encrypted_content") is None]
        assert kinds == [item.type for item in second.output if item.type != "reasoning" or item.summary]
        assert events[-1].response.output_text == second.output_text
