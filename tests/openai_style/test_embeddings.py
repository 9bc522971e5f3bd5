"""Embeddings in the shape of OpenAI's SDK: the requests that are sent, and the objects that come back."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any

import pytest

from tests.support.each import each
from tests.support.openai_sdk import SDK
from tests.support.openai_server import OpenAIServer
from unified_llm import openai_style as style
from unified_llm.openai_style import AsyncOpenAI, OpenAI

MODEL = "text-embedding-3-small"
VECTOR = [0.5, -0.25]
PACKED = base64.b64encode(struct.pack("<2f", *VECTOR)).decode()


def vectors(*embeddings: Any) -> dict[str, Any]:
    rows = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(embeddings)]
    return {"object": "list", "data": rows, "model": MODEL, "usage": {"prompt_tokens": 3, "total_tokens": 3}}


@each(
    ("given", "body", "count"),
    [
        ({"input": "a"}, {"input": "a", "encoding_format": "base64"}, 1),
        ({"input": ["a", "b", "a"]}, {"input": ["a", "b", "a"], "encoding_format": "base64"}, 3),
        ({"input": [5, 6]}, {"input": [5, 6], "encoding_format": "base64"}, 1),
        ({"input": ((5, 6), [7])}, {"input": [[5, 6], [7]], "encoding_format": "base64"}, 2),
        ({"input": iter(["a"])}, {"input": ["a"], "encoding_format": "base64"}, 1),
        (
            {"input": "a", "encoding_format": "float", "dimensions": 2, "user": "u", "extra_body": {"x": None}},
            {"input": "a", "encoding_format": "float", "dimensions": 2, "user": "u", "x": None},
            1,
        ),
    ],
)
def test_the_request_is_what_the_program_wrote(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], body: dict[str, Any], count: int
) -> None:
    server = OpenAIServer(monkeypatch)
    server.reply(vectors(*[PACKED] * count), headers={"x-request-id": "req_1"})
    response: Any = OpenAI(base_url=server.url).embeddings.create(model=MODEL, **given)
    assert server.received[0].path == "/v1/embeddings"
    assert server.received[0].body == {"model": MODEL, **body}
    assert response.model_dump() == vectors(*[VECTOR] * count)
    assert response["data"][0]["embedding"] == response.data[0].embedding == VECTOR
    assert (response._request_id, response.usage.total_tokens) == ("req_1", 3)
    assert response.unified_llm["served_by"] == f"openai-compatible/{MODEL}"


def test_vectors_are_text_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    server.reply(vectors(VECTOR))
    response: Any = OpenAI(base_url=server.url).embeddings.create(model=MODEL, input="a", encoding_format="base64")
    assert response.data[0].embedding == PACKED


def test_a_fallback_of_the_same_model_gets_texts_and_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    fallback = {"provider": "vllm", "base_url": server.url, "space": "s"}
    client = AsyncOpenAI(base_url="http://127.0.0.1:9097/v1", space="s", fallbacks=[fallback], max_retries=0)
    for _ in range(2):
        server.reply("", status=503)
        server.reply(vectors(PACKED))

    async def embed(given: Any) -> Any:
        return await client.embeddings.create(model=MODEL, input=given, user="u")

    assert asyncio.run(embed("a")).unified_llm["used_fallback"] is True
    assert asyncio.run(embed([5, 6])).data[0].embedding == VECTOR
    assert [received.body["input"] for received in server.received] == ["a", ["a"], [5, 6], [[5, 6]]]


def test_tokens_go_to_no_target_that_takes_texts_alone() -> None:
    client = OpenAI(model="ollama/nomic-embed-text")
    with pytest.raises(style.BadRequestError, match="no lists of tokens"):
        client.embeddings.create(input=[5, 6])


@each(
    ("given", "message"),
    [
        ({}, "input is missing"),
        ({"input": []}, "the list is empty"),
        ({"input": 5}, "not int"),
        ({"input": b"a"}, "not bytes"),
        ({"input": {"a": 1}}, "not dict"),
        ({"input": ["a", 5]}, "something else"),
        ({"input": [[5], ["a"]]}, "something else"),
        ({"input": [True]}, "something else"),
        ({"input": [[]]}, "something else"),
        ({"input": "a", "dimensions": "2"}, "dimensions must be"),
        ({"input": "a", "dimension": 2}, "did you mean 'dimensions'"),
    ],
)
def test_what_cannot_be_embedded_is_refused_once(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SDK.BadRequestError, match=message) as caught:
        OpenAI().embeddings.create(model=MODEL, **given)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_an_error_of_the_server_is_one_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    error = {"message": "Slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    server.reply({"error": error}, status=429, headers={"retry-after": "7", "x-request-id": "req_2"})
    with pytest.raises(SDK.RateLimitError) as caught:
        OpenAI(base_url=server.url, max_retries=0).embeddings.create(model=MODEL, input="a")
    raised: Any = caught.value
    assert isinstance(raised, style.RateLimitError)
    assert (raised.status_code, raised.code, raised.type) == (429, error["code"], "requests")
    assert (raised.request_id, raised.body) == ("req_2", error)
    assert raised.response.headers["retry-after"] == "7"
    assert raised.response.json() == {"error": error}
    assert "Slow down" not in str(raised)
