"""``as_text="preferred"``: text completion where a target has it, elsewhere a chat."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.each import each
from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient
from unified_llm.exceptions import UnsupportedOperationError, ValidationError

INSTRUCT, GPT, CLAUDE = "openai/gpt-3.5-turbo-instruct", "openai/gpt-4o", "anthropic/claude-haiku-4-5"


@each(
    ("model", "path", "fields"),
    [
        (INSTRUCT, "/v1/completions", {"prompt": "Once", "best_of": 1}),
        (GPT, "/v1/chat/completions", {"messages": [{"role": "user", "content": "Once"}]}),
        (CLAUDE, "/v1/messages", {"messages": [{"role": "user", "content": "Once"}]}),
        ("ollama/llama3.2", "/api/generate", {"prompt": "Once", "raw": True}),
    ],
)
def test_a_text_is_continued_or_answered(model: str, path: str, fields: dict[str, Any]) -> None:
    with SentRequests().running() as requests:
        LLMClient(model).complete("Once", as_text="preferred", extra_body={"best_of": 1, "echo": False})
    assert requests.sent[0].path == path
    assert requests.sent[0].body.items() >= fields.items()
    assert ("echo" in requests.sent[0].body) is (path not in {"/v1/messages", "/v1/chat/completions"})


def test_a_chat_serves_the_text_that_the_first_target_does_not() -> None:
    with SentRequests(INSTRUCT).running() as requests:
        LLMClient(INSTRUCT, fallbacks=[CLAUDE], max_retries=0).complete("Once", as_text="preferred")
    assert [request.path for request in requests.sent] == ["/v1/completions", "/v1/messages"]


@each(("field", "value"), [("suffix", "end"), ("echo", True), ("best_of", 2)])
def test_a_target_without_a_field_of_texts_is_skipped(field: str, value: Any) -> None:
    given: Any = {"as_text": "preferred", "extra_body": {field: value}}
    with SentRequests().running() as requests:
        response = LLMClient(CLAUDE, fallbacks=[INSTRUCT]).complete("Once", **given)
    assert requests.sent[0].body[field] == value
    assert f"no {field}" in f"{response.attempts[0].reason}"
    with pytest.raises(UnsupportedOperationError, match=f"no {field}"):
        LLMClient(GPT).complete("Once", **given)


def test_other_values_are_refused() -> None:
    given: Any = {"as_text": "maybe"}
    with pytest.raises(ValidationError, match='True, False or "preferred"'):
        LLMClient(GPT).complete("Once", **given)
