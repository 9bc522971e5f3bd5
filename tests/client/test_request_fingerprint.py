"""The digest of what determines a response."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tests.support.each import each
from unified_llm import LLMClient, Message
from unified_llm._client.request_fingerprint import fingerprint
from unified_llm.openai_style._chat_request import read_chat
from unified_llm.types import ImagePart, ResponseFormat, TextPart, Tool
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

KEY = "sk-" + "a" * 40
HELLO = (Message.user("Hello"),)


def digest(request: LLMRequest | EmbeddingRequest | None = None, model: str = "openai/gpt-5-mini", **given: Any) -> str:
    given.setdefault("api_key", KEY)
    with LLMClient(model, **given) as client:
        return fingerprint(request or LLMRequest(HELLO), client.targets[0])


def test_it_is_a_sha256_and_the_same_in_every_process() -> None:
    assert len(digest()) == 64
    assert digest() == "033fe9ec14bd1b7f2fdb7d532852687154cbd4d2f3c4f6cac544de7ef7b1d9f9", (
        "files of earlier versions have it"
    )


@each(
    "other",
    [
        {"api_key": "sk-" + "b" * 40},
        {"base_url": "https://proxy.example/v1"},
        {"timeout": 3.0},
        {"max_retries": 7},
        {"fallbacks": ["ollama/llama3.2"]},
        {"default_headers": {"x-team": "a"}},
        {"name": "main"},
        {"extra_body": {"api_key": "another"}},
    ],
)
def test_how_a_request_is_sent_does_not_change_it(other: dict[str, Any]) -> None:
    assert digest(**other) == digest()


@each(
    "other",
    [
        {"model": "openai/gpt-5"},
        {"model": "mistral/gpt-5-mini"},
        {"temperature": 0.5},
        {"max_tokens": 5},
        {"extra_body": {"verbosity": "low"}},
    ],
)
def test_the_model_and_the_defaults_of_the_target_change_it(other: dict[str, Any]) -> None:
    assert digest(**other) != digest()


CHANGES: dict[str, Any] = {
    "messages": (Message.user("Bye"),),
    "temperature": 1.0,
    "max_tokens": 5,
    "top_p": 0.5,
    "stop": ("x",),
    "seed": 1,
    "frequency_penalty": 1.0,
    "presence_penalty": 1.0,
    "tools": (Tool("f"),),
    "tool_choice": "none",
    "parallel_tool_calls": False,
    "response_format": ResponseFormat({"type": "object"}),
    "reasoning_effort": "low",
    "logprobs": True,
    "top_logprobs": 2,
    "n": 2,
    "as_text": True,
    "reasoning_format": "raw",
    "text_tool_calls": False,
    "merge_messages": False,
    "extra_body": {"x": 1},
}
OF_SENDING: dict[str, Any] = {
    "model": "gpt-5",  # which the target has
    "stream": True,
    "request_id": "1",
    "timeout_override": 1.0,
    "native": object(),
}


def test_every_field_of_a_request_either_changes_it_or_is_of_sending() -> None:
    assert {field.name for field in fields(LLMRequest)} == CHANGES.keys() | OF_SENDING.keys() | {"original"}
    digests = {digest(LLMRequest(**{"messages": HELLO, name: value})) for name, value in CHANGES.items()}
    assert len(digests | {digest()}) == len(CHANGES) + 1
    assert {digest(LLMRequest(HELLO, **{name: value})) for name, value in OF_SENDING.items()} == {digest()}


def test_parts_of_a_message_change_it() -> None:
    contents: list[Any] = [
        "Hello",
        (TextPart("Hello"),),
        (TextPart("Hello"), ImagePart(data=b"1")),
        (TextPart("Hello"), ImagePart(data=b"2")),
        (TextPart("Hello"), ImagePart(url="https://example.com/1.png")),
    ]
    assert len({digest(LLMRequest((Message("user", content),))) for content in contents}) == len(contents)


def test_a_schema_changes_it_and_a_function_that_checks_does_not() -> None:
    one, other = {"type": "object", "title": "a"}, {"type": "object", "title": "b"}

    def of(schema: dict[str, Any], **check: Any) -> str:
        return digest(LLMRequest(HELLO, response_format=ResponseFormat(schema, **check)))

    assert of(one) != of(other)
    assert of(one) == of(one, validate=lambda _: None)


def test_embeddings_are_told_apart_by_texts_dimensions_and_purpose() -> None:
    requests = [
        EmbeddingRequest(("a",)),
        EmbeddingRequest(("a", "b")),
        EmbeddingRequest(("a",), dimensions=5),
        EmbeddingRequest(("a",), purpose="query"),
    ]
    assert len({digest(request) for request in requests}) == len(requests)


def of_body(**body: Any) -> str:
    return digest(read_chat({"messages": [{"role": "user", "content": "Hello"}], **body}, None))


def test_a_body_of_openai_counts_in_full_without_its_labels() -> None:
    unread = [{"role": "user", "content": [{"type": "video", "id": number}]} for number in "12"]
    assert of_body(messages=unread[:1]) != of_body(messages=unread[1:])
    assert of_body(logit_bias={"1": 2}) != of_body()
    labels: dict[str, Any] = {"metadata": {"a": "b"}, "user": "u", "service_tier": "flex", "store": True}
    assert of_body(**labels) == of_body()
