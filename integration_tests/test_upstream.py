"""Tests of the scripted upstream: it must reject what OpenAI rejects, or the other tests prove nothing."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from openai import OpenAI

from integration_tests.support.upstream import KEY, Upstream

Headers = list[tuple[str, str]]

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n rest").decode()
# Without certificates, whose loading is most of the cost of a client.
PLAIN = httpx.HTTPTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
JSON = {"Content-Type": "application/json"}
USER = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
STRICT = SCHEMA | {"additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}


def user(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


def image(url: str) -> dict[str, Any]:
    return user({"type": "image_url", "image_url": {"url": url}})


def json_schema(**fields: object) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": fields}}


FINE: Mapping[str, Mapping[str, Any]] = {
    "the least": {},
    "an answered call": {"messages": [USER, CALLED, RESULT], "tools": [TOOL], "tool_choice": "auto"},
    "a named tool": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    "an image inline": image(f"data:image/png;base64,{PNG}"),
    "an image by URL": image("https://example.org/cat.png"),
    "a schema": json_schema(name="place", schema=STRICT, strict=True),
    "JSON": {"messages": [{"role": "user", "content": "Answer in JSON."}], "response_format": {"type": "json_object"}},
}
WRONG: Mapping[str, Mapping[str, Any]] = {
    "unknown field": {"top_k": 3},
    "no model": {"model": None},
    "empty model": {"model": ""},
    "no messages": {"messages": []},
    "unknown role": {"messages": [{"role": "human", "content": "hi"}]},
    "user without content": {"messages": [{"role": "user", "content": None}]},
    "assistant without anything": {"messages": [USER, {"role": "assistant", "content": None}]},
    "unknown message field": {"messages": [USER | {"cache_control": {"type": "ephemeral"}}]},
    "unknown block": user({"type": "tool_use", "id": "1", "name": "weather", "input": {}}),
    "unknown block field": user({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}),
    "another dialect's image": user({"type": "image", "base64": PNG, "mime_type": "image/png"}),
    "an image in a tool message": {
        "messages": [
            USER,
            CALLED,
            RESULT | {"content": image(f"data:image/png;base64,{PNG}")["messages"][0]["content"]},
        ]
    },
    "image that is no base64": image("data:image/png;base64,@@@@"),
    "image of another type": image(f"data:image/jpeg;base64,{PNG}"),
    "image of no image type": image(f"data:text/plain;base64,{PNG}"),
    "image from a file": image("file:///etc/passwd"),
    "audio of unknown format": user({"type": "input_audio", "input_audio": {"data": PNG, "format": "ogg"}}),
    "file without a name": user({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}}),
    "no tools": {"tools": []},
    "tool_choice without tools": {"tool_choice": "auto"},
    "parallel_tool_calls without tools": {"parallel_tool_calls": True},
    "tool_choice of no tool": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}},
    "tool_choice of another dialect": {"tools": [TOOL], "tool_choice": "any"},
    "two tools of one name": {"tools": [TOOL, TOOL]},
    "bad tool name": {"tools": [{"type": "function", "function": {"name": "the weather", "parameters": SCHEMA}}]},
    "parameters that are no object": {"tools": [{"type": "function", "function": {"name": "x", "parameters": {}}}]},
    "strict without additionalProperties": {
        "tools": [{"type": "function", "function": {"name": "x", "parameters": SCHEMA, "strict": True}}]
    },
    "unanswered call": {"messages": [USER, CALLED, USER]},
    "unanswered call at the end": {"messages": [USER, CALLED]},
    "answer to no call": {"messages": [USER, RESULT]},
    "answer to another call": {"messages": [USER, CALLED, RESULT | {"tool_call_id": "call_2"}]},
    "two calls of one id": {"messages": [USER, CALLED | {"tool_calls": [CALL, CALL]}, RESULT, RESULT]},
    "arguments that are no text": {
        "messages": [USER, CALLED | {"tool_calls": [CALL | {"function": {"name": "weather", "arguments": {}}}]}, RESULT]
    },
    "schema without a name": json_schema(schema=SCHEMA),
    "schema without a schema": json_schema(name="place"),
    "loose strict schema": json_schema(name="place", schema=SCHEMA, strict=True),
    "JSON without the word": {"response_format": {"type": "json_object"}},
    "stream_options without stream": {"stream_options": {"include_usage": True}},
    "temperature too high": {"temperature": 3},
    "temperature as text": {"temperature": "1"},
    "max_tokens of none": {"max_tokens": 0},
    "both limits": {"max_tokens": 5, "max_completion_tokens": 5},
    "no stop": {"stop": []},
    "five stops": {"stop": ["a", "b", "c", "d", "e"]},
    "top_logprobs alone": {"top_logprobs": 2},
}


@pytest.fixture
def server() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


def post(server: Upstream, body: Mapping[str, Any], route: str = "chat/completions") -> httpx.Response:
    return send(server, json.dumps(body).encode(), {"Authorization": f"Bearer {KEY}"} | JSON, route)


def send(
    server: Upstream, body: bytes, headers: Mapping[str, str] | Headers, route: str = "chat/completions"
) -> httpx.Response:
    with httpx.Client(transport=PLAIN) as client:
        return client.post(f"{server.base_url}/{route}", content=body, headers=headers)


@pytest.mark.parametrize("change", FINE.values(), ids=FINE)
def test_it_takes_what_openai_takes(server: Upstream, change: Mapping[str, Any]) -> None:
    response = post(server, {"model": "scripted-large", "messages": [USER], **change})
    assert (response.status_code, server.violations) == (200, [])


def test_it_refuses_what_openai_refuses(server: Upstream) -> None:
    accepted = []
    for name, change in WRONG.items():
        response = post(server, {"model": "scripted-large", "messages": [USER], **change})
        if response.status_code != 400 or response.json()["error"]["type"] != "invalid_request_error":
            accepted.append(name)
    assert accepted == []
    assert len(server.violations) == len(WRONG)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "scripted-large", "messages": [{"role": "user", "content": "hi"}], "temperature": NaN}',
        b'{"model": "scripted-large", "model": "scripted-small", "messages": [{"role": "user", "content": "hi"}]}',
        b"{",
    ],
    ids=["not a number", "a field twice", "half a body"],
)
def test_it_refuses_what_is_not_json(server: Upstream, body: bytes) -> None:
    assert send(server, body, {"Authorization": f"Bearer {KEY}"} | JSON).status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([*JSON.items()], 401),
        ([*JSON.items(), ("Authorization", "Bearer sk-other")], 401),
        ([*JSON.items(), ("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")], 400),
        ([("Content-Type", "text/plain"), ("Authorization", f"Bearer {KEY}")], 400),
    ],
    ids=["no key", "wrong key", "key twice", "wrong content type"],
)
def test_it_reads_headers(server: Upstream, headers: Headers, status: int) -> None:
    body = b'{"model": "scripted-large", "messages": [{"role": "user", "content": "hi"}]}'
    assert send(server, body, headers).status_code == status


@pytest.mark.parametrize("change", [{"input": []}, {"input": [""]}, {"input": "x", "encoding_format": "hex"}, {"x": 1}])
def test_it_refuses_bad_embedding_requests(server: Upstream, change: Mapping[str, Any]) -> None:
    assert post(server, {"model": "scripted-embedding", "input": "x", **change}, "embeddings").status_code == 400


def test_a_status_answers_everything_but_still_checks(server: Upstream) -> None:
    server.status = 503
    assert post(server, {"model": "scripted-large", "messages": [USER]}).status_code == 503
    assert post(server, {"model": "scripted-large", "messages": []}).status_code == 400
    assert server.count("chat/completions") == 2


def test_openais_own_client_reads_it(server: Upstream) -> None:
    with OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0) as client:
        whole = client.chat.completions.create(
            model="scripted-large", messages=[{"role": "user", "content": "你好 hi"}]
        )
        with client.chat.completions.create(
            model="scripted-large",
            messages=[{"role": "user", "content": "你好 hi"}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            chunks = list(stream)
        as_floats = client.embeddings.create(model="scripted-embedding", input=["a", "b"], encoding_format="float")
        as_bytes = client.embeddings.create(model="scripted-embedding", input=["a", "b"])
        listed = [model.id for model in client.models.list()]
    assert whole.choices[0].message.content == "You said: 你好 hi. This is all I know about it."
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        == whole.choices[0].message.content
    )
    assert [chunk.usage for chunk in chunks if chunk.usage] == [whole.usage]
    assert as_bytes.data[1].embedding == pytest.approx(as_floats.data[1].embedding)
    assert listed == list(server.models)
    assert server.violations == []
