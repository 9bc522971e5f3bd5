"""Names of tools in a call over a chain: what each target gets, and what the attempts record (wire F8, langchain G)."""

from __future__ import annotations

from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient
from unified_llm.types import Tool

KEY = "sk-CANARY-of-names"
NAMES = ["caldav-mcp.create-event", "get_weather"]


def test_a_changed_name_is_recorded_in_the_attempt_and_a_target_that_takes_it_gets_it() -> None:
    tools = [Tool(name, "d", {"type": "object", "properties": {"q": {"type": "string"}}}) for name in NAMES]
    chain = LLMClient(
        {"model": "ollama/llama3.2", "max_retries": 0}, fallbacks=[{"model": "openai/gpt-4.1", "api_key": KEY}]
    )
    with SentRequests("ollama/llama3.2").running() as sent:
        response = chain.generate("x", tools=tools, tool_choice="auto")
    offered = [[tool["function"]["name"] for tool in request.body["tools"]] for request in sent.sent]
    fitted = ["caldav-mcp_create-event", "get_weather"]
    assert offered == [NAMES, fitted]
    assert [attempt.adjusted for attempt in response.attempts] == [{}, {"tool_names": [NAMES, fitted]}]
    assert response.attempts[-1].as_dict()["adjusted"] == {"tool_names": [NAMES, fitted]}


def test_a_first_target_is_recorded_like_a_fallback_and_a_name_of_the_history_is_not() -> None:
    client = LLMClient("openai/gpt-4.1", api_key=KEY)
    with SentRequests().running():
        changed = client.generate("x", tools=[Tool("a.b", "d")])
        history = [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "a.b", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "1"},
        ]
        unchanged = client.generate({"messages": history}, tools=[Tool("a_b", "d")])
    assert changed.attempts[0].adjusted == {"tool_names": [["a.b"], ["a_b"]]}
    assert unchanged.attempts[0].adjusted == {}
