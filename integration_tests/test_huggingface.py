"""Hugging Face's router: the official client and ours, against one strict fake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from integration_tests.fakes.huggingface import CHAT, EMBEDDER, KEY, Router
from integration_tests.support.needs import need
from unified_llm import LLMClient, LLMConfig
from unified_llm.exceptions import AuthenticationError, ModelNotFoundError, ServiceUnavailableError

need("huggingface_hub", install="pip install huggingface_hub")
pytestmark = pytest.mark.proves(
    "huggingface", "chat", "stream", "tools", "embeddings", "models", "errors",
    against="the official client, before a strict fake",
)  # fmt: skip
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA}}
REQUESTS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"messages": [{"role": "user", "content": "Grüß dich"}], "temperature": 0.5, "max_tokens": 50, "seed": 7},
    "tools": {"messages": [{"role": "user", "content": "How is 'Köln'?"}], "tools": [TOOL], "tool_choice": "required"},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Router]:
    with Router() as running:
        yield running


@pytest.fixture
def fake(server: Router) -> Router:
    server.requests.clear()
    return server


def theirs(**fields: Any) -> Any:
    from huggingface_hub import InferenceClient

    return InferenceClient(token=KEY, **fields)


def ours(fake: Router, model: str = f"{CHAT}:fastest", **fields: Any) -> LLMClient:
    given: dict[str, Any] = {
        "provider": "huggingface",
        "base_url": fake.address,
        "api_key": KEY,
        "max_retries": 0,
        **fields,
    }
    return LLMClient(LLMConfig(model=model, **given))


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_both_ask_and_read_the_same(fake: Router, request_: Mapping[str, Any]) -> None:
    them = theirs(base_url=f"{fake.address}/v1")
    read_by_them = them.chat_completion(model=f"{CHAT}:fastest", **request_)
    with ours(fake) as us:
        read_by_us = us.generate(dict(request_))
    they_sent, we_sent = fake.requests
    assert (we_sent.path, we_sent.body) == (
        they_sent.path,
        {name: value for name, value in they_sent.body.items() if value},
    )
    choice = read_by_them.choices[0]
    assert read_by_us.content == (choice.message.content or "")
    calls = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
    assert [(call.id, call.name, call.raw_arguments) for call in read_by_us.tool_calls] == calls
    assert read_by_us.finish_reason == choice.finish_reason
    assert read_by_us.usage
    assert read_by_us.usage.total_tokens == read_by_them.usage.total_tokens


def test_both_stream_the_same(fake: Router) -> None:
    request_ = REQUESTS["plain"]
    them = theirs(base_url=f"{fake.address}/v1")
    deltas = [chunk.choices[0].delta for chunk in them.chat_completion(model=CHAT, stream=True, **request_)]
    with ours(fake) as us:
        chunks = list(us.stream(dict(request_)))
    assert "".join(chunk.content for chunk in chunks) == "".join(delta.content or "" for delta in deltas)


def test_both_embed_the_same(fake: Router) -> None:
    task = f"{fake.address}/hf-inference/models/{EMBEDDER}/pipeline/feature-extraction"
    them = theirs(provider="hf-inference").feature_extraction(["a", "ö"], model=task, normalize=True)
    with ours(fake, EMBEDDER) as us:
        vectors = us.embed(["a", "ö"], extra_body={"normalize": True}).vectors
        (single,) = us.embed("a").vectors
    they_sent, we_sent, _ = fake.requests
    assert (we_sent.path, we_sent.body) == (they_sent.path, they_sent.body)
    for we, they in zip(vectors, them.tolist(), strict=True):
        assert we == pytest.approx(they, abs=1e-6)
    assert single == vectors[0]


def test_models_are_listed_with_what_those_who_run_them_offer(fake: Router) -> None:
    with ours(fake) as us:
        (model,) = us.list_models()
    assert (model.id, model.context_window, model.features) == (CHAT, 131_072, frozenset({"tools"}))


def test_both_are_refused_alike(fake: Router) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    cold = f"{fake.address}/hf-inference/models/org/cold/pipeline/feature-extraction"
    with pytest.raises(HfHubHTTPError):
        theirs(base_url=f"{fake.address}/v1").chat_completion(model="org/nobody", messages=[])
    with pytest.raises(HfHubHTTPError):
        theirs(provider="hf-inference").feature_extraction("a", model=cold)
    with ours(fake, "org/nobody") as us, pytest.raises(ModelNotFoundError):
        us.generate("Hello")
    with ours(fake, "org/cold") as us, pytest.raises(ServiceUnavailableError):
        us.embed("a")
    with ours(fake, api_key="hf_wrongwrongwrong") as us, pytest.raises(AuthenticationError):
        us.generate("Hello")
