"""OpenAI's own client and ours, side by side: the requests that each sends and the responses that each returns."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from openai import OpenAI

from integration_tests.support.media import PDF, PNG, WAV
from integration_tests.support.upstream import KEY, Upstream
from unified_llm import LLMClient, LLMConfig, LLMResponse

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

pytestmark = pytest.mark.proves(
    "openai", "chat", "stream", "tools", "schema", "images", "audio", "files", "embeddings", "models",
    against="the official SDK, before an upstream that validates",
)  # fmt: skip

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA, "strict": True},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo","days":3}'}}


def user(*parts: Mapping[str, Any] | str) -> dict[str, Any]:
    return {"role": "user", "content": parts[0] if isinstance(parts[0], str) else list(parts)}


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{encoded(data)}"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


REQUESTS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"messages": [user("hello")]},
    "every number": {
        "messages": [{"role": "system", "content": "Be brief."}, user("hello")],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 50,
        "stop": ["END"],
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": -0.1,
    },
    "tools": {
        "messages": [user("How is 'Köln' in 3 days?")],
        "tools": [TOOL],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    },
    "an answered call": {
        "messages": [
            user("How is it?"),
            {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]},
            # Servers with templates of their own want the name, which the SDK passes on where it is given.
            {"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": "sunny"},
        ],
        "tools": [TOOL],
    },
    "a schema": {
        "messages": [user("How is 'Oslo' in 3 days?")],
        "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}},
    },
    "JSON": {"messages": [user("JSON with 'a' and 'b'")], "response_format": {"type": "json_object"}},
    "media": {
        "messages": [
            user(
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": data_url("image/png", PNG)}},
                {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": encoded(WAV), "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}},
            )
        ]
    },
}


@pytest.fixture
def theirs(upstream: Upstream) -> Iterator[OpenAI]:
    with OpenAI(base_url=upstream.base_url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def ours(upstream: Upstream) -> Iterator[LLMClient]:
    target = LLMConfig(provider="openai-compatible", model="scripted-large", base_url=upstream.base_url, api_key=KEY)
    with LLMClient(target) as client:
        yield client


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_both_say_and_read_the_same(
    upstream: Upstream, theirs: OpenAI, ours: LLMClient, request_: Mapping[str, Any]
) -> None:
    read_by_them: ChatCompletion = theirs.chat.completions.create(model="scripted-large", **request_)
    read_by_us = ours.generate(dict(request_))
    sent_by_them, sent_by_us = (received.body for received in upstream.requests)
    assert sent_by_us == sent_by_them
    assert _read(read_by_us) == _fields(read_by_them)


def _joined(parts: Iterable[tuple[int, bool, str | None, str]]) -> dict[int, tuple[int, str, str]]:
    """Return for each call the number of its identifiers, its name and its arguments."""
    calls: dict[int, tuple[int, str, str]] = {}
    for index, has_id, name, arguments in parts:
        ids, names, text = calls.get(index, (0, "", ""))
        calls[index] = (ids + has_id, names + (name or ""), text + arguments)
    return calls


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_both_stream_the_same(upstream: Upstream, theirs: OpenAI, ours: LLMClient, request_: Mapping[str, Any]) -> None:
    with theirs.chat.completions.create(
        model="scripted-large", stream=True, stream_options={"include_usage": True}, **request_
    ) as stream:
        their_chunks = list(stream)
    our_chunks = list(ours.stream(dict(request_)))
    sent_by_them, sent_by_us = (received.body for received in upstream.requests)
    assert sent_by_us == sent_by_them
    deltas = [chunk.choices[0].delta for chunk in their_chunks if chunk.choices]
    assert "".join(chunk.content for chunk in our_chunks) == "".join(delta.content or "" for delta in deltas)
    # Arguments that end within an escape sequence are held back, so the fragments are not cut at the same places.
    theirs_parts = [
        (part.index, bool(part.id), part.function.name, part.function.arguments or "")
        for delta in deltas
        for part in delta.tool_calls or ()
        if part.function
    ]
    ours_parts = [
        (part.index, bool(part.id), part.name, part.arguments) for chunk in our_chunks for part in chunk.tool_calls
    ]
    assert _joined(ours_parts) == _joined(theirs_parts)
    usage = next(chunk.usage for chunk in their_chunks if chunk.usage)
    assert our_chunks[-1].usage
    assert our_chunks[-1].usage.total_tokens == usage.total_tokens


def test_both_embed_the_same(upstream: Upstream, theirs: OpenAI, ours: LLMClient) -> None:
    read_by_them = theirs.embeddings.create(model="scripted-embedding", input=["a", "ö"], dimensions=8)
    read_by_us = ours.embed(["a", "ö"], model="scripted-embedding", dimensions=8)
    # Their client asks for base64, which is half as precise.
    for we, they in zip(read_by_us.vectors, read_by_them.data, strict=True):
        assert list(we) == pytest.approx(they.embedding, abs=1e-7)
    assert [received.body["input"] for received in upstream.requests] == [["a", "ö"], ["a", "ö"]]


def test_both_list_the_same(theirs: OpenAI, ours: LLMClient) -> None:
    assert [model.id for model in ours.list_models()] == [model.id for model in theirs.models.list()]


def _fields(answer: ChatCompletion) -> dict[str, Any]:
    choice, usage = answer.choices[0], answer.usage
    assert usage
    assert usage.prompt_tokens_details
    assert usage.completion_tokens_details
    return {
        "content": choice.message.content or "",
        "calls": [
            (call.function.name, call.function.arguments)
            for call in choice.message.tool_calls or ()
            if call.type == "function"
        ],
        "model": answer.model,
        "finish_reason": choice.finish_reason,
        "prompt": usage.prompt_tokens,
        "completion": usage.completion_tokens,
        "total": usage.total_tokens,
        "cached": usage.prompt_tokens_details.cached_tokens,
        "cache_write": usage.prompt_tokens_details.cache_write_tokens,
        "audio": usage.prompt_tokens_details.audio_tokens,
        "reasoning": usage.completion_tokens_details.reasoning_tokens,
        "audio_output": usage.completion_tokens_details.audio_tokens,
    }


def _read(answer: LLMResponse) -> dict[str, Any]:
    usage = answer.usage
    assert usage
    return {
        "content": answer.content,
        "calls": [(call.name, call.raw_arguments) for call in answer.tool_calls],
        "model": answer.model,
        "finish_reason": answer.finish_reason,
        "prompt": usage.prompt_tokens,
        "completion": usage.completion_tokens,
        "total": usage.total_tokens,
        "cached": usage.cached_tokens,
        "cache_write": usage.cache_write_tokens,
        "audio": usage.audio_tokens,
        "reasoning": usage.reasoning_tokens,
        "audio_output": usage.audio_output_tokens,
    }
