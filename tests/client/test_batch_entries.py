"""Requests as entries of batches, and their results as responses: as a call would have sent and read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient
from unified_llm._client import read_request
from unified_llm._core.batch_service import BatchResult
from unified_llm._formats.batch_results import read_lines, read_openai_line
from unified_llm.exceptions import GenerationError, LLMError, UnsupportedOperationError
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, OriginalRequest

KEY = "k" * 20
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "city", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def completion(**message: Any) -> dict[str, Any]:
    return {
        "id": "c-1",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}],
    }


def test_an_entry_has_the_body_of_the_call_with_the_defaults_of_its_target() -> None:
    client = LLMClient("openai/gpt-5-mini", api_key=KEY, max_tokens=7, extra_body={"service_tier": "flex"})
    written = client.write_entry(read_request.chat("Hello", {}))
    assert written.endpoint == "/v1/chat/completions"
    body = json.loads(written.body)
    assert (body["model"], body["max_completion_tokens"], body["service_tier"]) == ("gpt-5-mini", 7, "flex")
    assert KEY not in repr(written) + written.body.decode()


@each(
    "model, api, endpoint",
    [
        ("openai/gpt-5-mini", "responses", "/v1/responses"),
        ("groq/llama-3.3-70b-versatile", None, "/v1/chat/completions"),
        ("mistral/mistral-small-latest", None, "/v1/chat/completions"),
    ],
)
def test_an_endpoint_is_named_as_openai_does_whatever_the_path_of_the_server(
    model: str, api: str | None, endpoint: str
) -> None:
    client = LLMClient(model, api_key=KEY, **({"api": api} if api else {}))  # type: ignore[arg-type]
    assert client.write_entry(read_request.chat("Hello", {})).endpoint == endpoint


def test_a_body_that_was_written_for_openai_goes_there_as_it_is() -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}], "verbosity": "low"}
    request = read_request.chat("Hello", {})
    original = LLMRequest(request.messages, original=OriginalRequest("openai_chat", body))
    written = LLMClient("openai/gpt-5-mini", api_key=KEY).write_entry(original)
    assert json.loads(written.body) == {**body, "model": "gpt-5-mini"}
    elsewhere = LLMClient("anthropic/claude-haiku-4-5", api_key=KEY).write_entry(original)
    assert "verbosity" not in json.loads(elsewhere.body)


def test_texts_become_vectors() -> None:
    client = LLMClient("openai/text-embedding-3-small", api_key=KEY, dimensions=2)
    request = EmbeddingRequest(("a", "b"))
    written = client.write_entry(request)
    assert (written.endpoint, json.loads(written.body)["dimensions"]) == ("/v1/embeddings", 2)
    body = {"data": [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]}
    assert client.read_entry(request, BatchResult("e", 200, body)).vectors == [[1.0, 0.0], [0.0, 1.0]]
    with pytest.raises(GenerationError):
        client.read_entry(request, BatchResult("e", 200, {"data": body["data"][:1]}))
    with pytest.raises(UnsupportedOperationError, match="batches for vectors"):
        LLMClient("gemini/gemini-embedding-001", api_key=KEY).write_entry(request)


def test_json_is_asked_for_and_checked_as_the_target_needs_it() -> None:
    client = LLMClient("moonshot/kimi-k2", api_key=KEY)
    request = read_request.chat("Paris?", {"response_format": SCHEMA})
    assert "name" in client.write_entry(request).body.decode()
    fenced = completion(content='Here it is:\n```json\n{"name": "Paris"}\n```')
    assert json.loads(client.read_entry(request, BatchResult("e", 200, fenced)).content) == {"name": "Paris"}
    with pytest.raises(GenerationError):
        client.read_entry(request, BatchResult("e", 200, completion(content="I do not know.")))


def test_what_a_target_does_not_take_is_applied_to_its_result() -> None:
    client = LLMClient("openai/gpt-5-mini", api_key=KEY, api="responses")
    request = read_request.chat("Count", {"stop": ["three"]})
    assert "stop" not in json.loads(client.write_entry(request).body)
    text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "one two three four"}]}
    body = {"id": "r", "status": "completed", "output": [text]}
    assert client.read_entry(request, BatchResult("e", 200, body)).content == "one two "


@each("body", [None, [], "text", 5, {}, {"choices": "no"}, {"error": {"message": "x"}}])
def test_a_result_of_any_shape_is_an_error_of_this_package(body: Any) -> None:
    client, request = LLMClient("openai/gpt-5-mini", api_key=KEY), read_request.chat("Hello", {})
    for status in (200, 400, 500, 302, 799):
        with pytest.raises(LLMError):
            client.read_entry(request, BatchResult("e", status, body))


def test_a_damaged_line_of_results_hides_no_other() -> None:
    good = b'{"custom_id":"a","response":{"status_code":200,"body":{}},"error":null}'
    lines = b"\n\r\n".join([b'{"custom_id":', b"[1]", b'{"id":"x"}', b"\xff\xfe", good, b"null"])
    outcome: Any = read_lines(lines, read_openai_line)
    assert [result.id for result in outcome.value] == ["a"]
    assert outcome.value[0].status == 200
    failed: Any = read_lines(b'{"custom_id":"a","response":null,"error":{"code":"batch_expired"}}', read_openai_line)
    assert failed.value[0].unanswered == "expired"
