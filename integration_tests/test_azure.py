"""Azure OpenAI in both of its API styles: the official SDK and ours, against one strict fake."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import openai
import pytest

from integration_tests.fakes.azure import KEY, TOKEN, VERSIONS, Azure
from unified_llm import LLMClient, LLMConfig, LLMResponse
from unified_llm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    ContentFilterError,
    ModelNotFoundError,
    UnsupportedOperationError,
)

pytestmark = pytest.mark.proves(
    "azure", "chat", "stream", "tools", "schema", "embeddings", "models", "errors",
    against="the official SDK, before a strict fake of both API styles",
)  # fmt: skip
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"name": "weather", "description": "The weather.", "parameters": SCHEMA, "strict": True}
REQUESTS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"messages": [{"role": "user", "content": "Grüß dich"}], "temperature": 0.5},
    "tools": {
        "messages": [{"role": "user", "content": "How is 'Köln'?"}],
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": "required",
    },
    "a schema": {
        "messages": [{"role": "user", "content": "How is 'Oslo'?"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}},
    },
}
# API version and credential of a client, or a base URL that names the deployment.
STYLES = ("dated", "dated, by token", "v1", "v1, by token", "the whole address")
every_style = pytest.mark.parametrize("style", STYLES)


@pytest.fixture(scope="module")
def server() -> Iterator[Azure]:
    with Azure() as running:
        yield running


@pytest.fixture
def fake(server: Azure) -> Azure:
    server.requests.clear()
    return server


def theirs(fake: Azure, style: str) -> openai.OpenAI:
    credential: dict[str, Any] = {"azure_ad_token": TOKEN} if "token" in style else {"api_key": KEY}
    if style.startswith("v1"):
        key = TOKEN if "token" in style else KEY
        return openai.OpenAI(base_url=f"{fake.address}/openai/v1/", api_key=key, max_retries=0)
    if style == "the whole address":
        base = f"{fake.address}/openai/deployments/my-chat"
        return openai.AzureOpenAI(base_url=base, api_version=VERSIONS[0], max_retries=0, **credential)
    return openai.AzureOpenAI(azure_endpoint=fake.address, api_version=VERSIONS[0], max_retries=0, **credential)


def ours(fake: Azure, style: str = "dated", **fields: Any) -> LLMClient:
    given: dict[str, Any] = {"provider": "azure", "model": "my-chat", "base_url": fake.address, "max_retries": 0}
    given["api_key"] = TOKEN if "token" in style else KEY
    if style == "the whole address":
        given["base_url"] = f"{fake.address}/openai/deployments/my-chat"
    if not style.startswith("v1"):
        given["api_version"] = VERSIONS[0]
    return LLMClient(LLMConfig(**{**given, **fields}))


@pytest.mark.parametrize("style", ["dated", "v1"])
def test_a_token_that_a_callable_returns_goes_where_the_official_sdk_puts_it(fake: Azure, style: str) -> None:
    def token() -> str:
        return TOKEN

    async def atoken() -> tuple[str, int]:
        return TOKEN, 3600

    them = openai.AzureOpenAI(azure_endpoint=fake.address, api_version=VERSIONS[0], azure_ad_token_provider=token)
    them.chat.completions.create(model="my-chat", messages=[{"role": "user", "content": "Hi"}])
    ours(fake, style, api_key=token).generate("Hi")
    asyncio.run(ours(fake, style, api_key=atoken).agenerate("Hi"))
    credentials = [(sent.headers.get("authorization"), sent.headers.get("api-key")) for sent in fake.requests]
    assert credentials == [(f"Bearer {TOKEN}", None)] * 3


def _sent(fake: Azure) -> list[Any]:
    """Return method, path, query, credentials and body of both requests."""
    return [
        (
            received.method,
            received.path,
            dict(received.query),
            received.headers.get("api-key"),
            received.headers.get("authorization"),
            received.body,
        )
        for received in fake.requests
    ]


@every_style
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_both_ask_and_read_the_same(fake: Azure, style: str, request_: Mapping[str, Any]) -> None:
    with theirs(fake, style) as them, ours(fake, style) as us:
        read_by_them = them.chat.completions.create(model="my-chat", **request_)
        read_by_us = us.generate(dict(request_))
    they_sent, we_sent = _sent(fake)
    if style == "v1":  # OpenAI's own SDK has no header but one
        they_sent = (*they_sent[:3], KEY, None, they_sent[5])
    assert we_sent == they_sent
    assert _our_fields(read_by_us) == _their_fields(read_by_them)


@every_style
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_both_stream_the_same(fake: Azure, style: str, request_: Mapping[str, Any]) -> None:
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    with theirs(fake, style) as them, ours(fake, style) as us:
        events = list(them.chat.completions.create(model="my-chat", **options, **request_))
        chunks = list(us.stream(dict(request_)))
    they_sent, we_sent = _sent(fake)
    assert (we_sent[1], we_sent[2], we_sent[5]) == (they_sent[1], they_sent[2], they_sent[5])
    deltas = [event.choices[0].delta for event in events if event.choices]
    assert "".join(chunk.content for chunk in chunks) == "".join(delta.content or "" for delta in deltas)
    calls = [part for delta in deltas for part in delta.tool_calls or ()]
    arguments = "".join((part.function.arguments or "") for part in calls if part.function)
    assert "".join(call.arguments for chunk in chunks for call in chunk.tool_calls) == arguments
    usage = next(event.usage for event in events if event.usage)
    assert chunks[-1].usage
    assert chunks[-1].usage.total_tokens == usage.total_tokens


@pytest.mark.parametrize("style", ["dated", "v1"])
def test_both_embed_the_same_and_list_the_same(fake: Azure, style: str) -> None:
    with theirs(fake, style) as them, ours(fake, style, model="my embedding") as us:
        vectors = them.embeddings.create(model="my embedding", input=["a", "ö"], dimensions=8)
        ours_vectors = us.embed(["a", "ö"], dimensions=8)
        listed = [model.id for model in them.models.list()]
        assert [model.id for model in us.list_models()] == listed
    for we, they in zip(ours_vectors.vectors, vectors.data, strict=True):
        assert list(we) == pytest.approx(they.embedding, abs=1e-7)
    paths = [(received.path, dict(received.query)) for received in fake.requests]
    assert paths[0] == paths[1]
    assert paths[2] == paths[3]


@pytest.mark.parametrize("style", ["dated", "v1"])
def test_both_are_refused_alike(fake: Azure, style: str) -> None:
    with theirs(fake, style) as them, ours(fake, style) as us:
        for prompt, model, their_error, our_error in (
            ("Hello", "nothing", openai.NotFoundError, ModelNotFoundError),
            ("a filtered prompt", "my-chat", openai.BadRequestError, ContentFilterError),
            ("Hello", "my embedding", openai.BadRequestError, UnsupportedOperationError),
        ):
            with pytest.raises(their_error):
                them.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}])
            with pytest.raises(our_error):
                us.generate(prompt, model=model)
    with ours(fake, style, api_key="wrong") as us, pytest.raises(AuthenticationError):
        us.generate("Hello")


def test_a_version_that_there_is_not_is_no_missing_model(fake: Azure) -> None:
    with ours(fake, api_version="1999-01-01") as us, pytest.raises(ConfigurationError):
        us.generate("Hello")


def _our_fields(answer: LLMResponse) -> dict[str, Any]:
    assert answer.usage
    return {
        "content": answer.content,
        "calls": [(call.id, call.name, call.raw_arguments) for call in answer.tool_calls],
        "model": answer.model,
        "finish_reason": answer.finish_reason,
        "usage": (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens),
    }


def _their_fields(answer: Any) -> dict[str, Any]:
    choice = answer.choices[0]
    calls = choice.message.tool_calls or ()
    return {
        "content": choice.message.content or "",
        "calls": [(call.id, call.function.name, call.function.arguments) for call in calls],
        "model": answer.model,
        "finish_reason": choice.finish_reason,
        "usage": (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens),
    }
