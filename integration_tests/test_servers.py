"""Third-party servers and gateways, called with OpenAI's own SDK and with this package: both must read the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from integration_tests.support import llamacpp, servers
from integration_tests.support.llamacpp import LlamaServer
from integration_tests.support.needs import need
from unified_llm import LLMClient, LLMConfig
from unified_llm._backends.mlx import demo_folder
from unified_llm.exceptions import (
    AuthenticationError,
    ContextOverflowError,
    LLMError,
    ModelNotFoundError,
    RateLimitError,
    ServiceUnavailableError,
)

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]},
    },
}
LLAMACPP = pytest.param(
    "llamacpp",
    marks=pytest.mark.proves(
        "llamacpp",
        "chat",
        "stream",
        "tools",
        "n",
        "logprobs",
        "completion",
        "models",
        "errors",
        against="its own server",
    ),
)
LITELLM = pytest.param(
    "litellm",
    marks=pytest.mark.proves(
        "litellm",
        "chat",
        "stream",
        "tools",
        "completion",
        "models",
        "errors",
        against="LiteLLM's proxy, before llama.cpp",
    ),
)
MLX_LM = pytest.param(
    "mlx_lm",
    marks=pytest.mark.proves(
        "openai-compatible", "chat", "stream", "logprobs", "completion", "models", "errors", against="mlx_lm.server"
    ),
)
MLX_VLM = pytest.param(
    "mlx_vlm",
    marks=pytest.mark.proves("openai-compatible", "chat", "stream", "logprobs", "errors", against="mlx_vlm.server"),
)
AIMOCK = pytest.param(
    "aimock",
    marks=pytest.mark.proves("openai", "chat", "stream", "tools", "models", "errors", against="aimock"),
)


@dataclass(frozen=True)
class Endpoint:
    """Address, model and key of a server, for both clients."""

    name: str
    base_url: str
    model: str
    key: str = "sk-CANARY-that-no-server-requires"
    provider: str = "openai-compatible"

    def ours(self, **fields: Any) -> LLMClient:
        fields = {"model": self.model, "api_key": self.key, "max_retries": 0, "max_tokens": 12, **fields}
        return LLMClient(LLMConfig(provider=self.provider, base_url=self.base_url, **fields))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def llama(folder: Path) -> Iterator[Endpoint]:
    need("xllamacpp", "gguf", "numpy", install="pip install xllamacpp gguf numpy")
    llamacpp.write_model(folder / "random.gguf")
    with LlamaServer(folder / "random.gguf", slots=3) as server:
        yield Endpoint("llamacpp", server.base_url, llamacpp.MODEL, llamacpp.KEY, "llamacpp")


@pytest.fixture(scope="module")
def gateway(folder: Path, llama: Endpoint) -> Iterator[Endpoint]:
    with servers.litellm(folder, llama.base_url) as url:
        yield Endpoint("litellm", url, "llama", servers.GATEWAY_KEY, "litellm")


@pytest.fixture(scope="module")
def mlx(folder: Path) -> Iterator[Endpoint]:
    with servers.mlx_lm(folder) as url:
        yield Endpoint("mlx_lm", url, str(demo_folder()))


@pytest.fixture(scope="module")
def mlx_vlm(folder: Path) -> Iterator[Endpoint]:
    with servers.mlx_vlm(folder) as url:
        yield Endpoint("mlx_vlm", url, str(demo_folder()))


@pytest.fixture(scope="module")
def mock(folder: Path) -> Iterator[Endpoint]:
    with servers.aimock(folder) as url:
        yield Endpoint("aimock", url, "gpt-4o", provider="openai")


FIXTURES = {"llamacpp": "llama", "litellm": "gateway", "mlx_lm": "mlx", "mlx_vlm": "mlx_vlm", "aimock": "mock"}


@pytest.fixture
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    endpoint: Endpoint = request.getfixturevalue(FIXTURES[request.param])
    return endpoint


@pytest.fixture
def sdk(endpoint: Endpoint) -> Iterator[OpenAI]:
    with OpenAI(base_url=endpoint.base_url, api_key=endpoint.key, max_retries=0) as client:
        yield client


ALL_ENDPOINTS = pytest.mark.parametrize("endpoint", [LLAMACPP, LITELLM, MLX_LM, MLX_VLM, AIMOCK], indirect=True)
PROMPT = "2+2?"


def counts(usage: Any) -> list[int]:
    return [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]


@ALL_ENDPOINTS
def test_an_answer(endpoint: Endpoint, sdk: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    theirs = sdk.chat.completions.create(model=endpoint.model, messages=messages, max_tokens=12, seed=1)
    with endpoint.ours() as client:
        ours = client.generate(PROMPT, seed=1)
    choice = theirs.choices[0]
    assert (ours.content, ours.finish_reason, ours.model) == (
        choice.message.content,
        choice.finish_reason,
        theirs.model,
    )
    assert ours.usage
    assert counts(ours.usage) == counts(theirs.usage)
    assert ours.response_id


@ALL_ENDPOINTS
def test_a_stream(endpoint: Endpoint, sdk: OpenAI) -> None:
    theirs = ""
    for chunk in sdk.chat.completions.create(
        model=endpoint.model, messages=[{"role": "user", "content": PROMPT}], max_tokens=12, seed=1, stream=True
    ):
        theirs += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    with endpoint.ours() as client:
        *chunks, last = client.stream(PROMPT, seed=1)
    assert "".join(chunk.content for chunk in chunks) == theirs
    assert last.finish_reason in {"stop", "length"}
    # aimock's mock of a stream counts nothing unless its fixture says so.
    assert last.usage or endpoint.name == "aimock"


@pytest.mark.parametrize("endpoint", [LLAMACPP, LITELLM, AIMOCK], indirect=True)
def test_calls_of_tools_whole_and_streamed(endpoint: Endpoint, sdk: OpenAI) -> None:
    asked: Any = [{"role": "user", "content": "The weather?" if endpoint.name != "aimock" else "weather"}]
    tools: Any = [TOOL]
    theirs = sdk.chat.completions.create(
        model=endpoint.model, messages=asked, tools=tools, tool_choice="required", max_tokens=200, seed=3
    )
    with endpoint.ours(max_tokens=200) as client:
        ours = client.generate(asked, tools=[TOOL], tool_choice="required", seed=3)
        *chunks, last = client.stream(asked, tools=[TOOL], tool_choice="required", seed=3)
    streamed: dict[int, list[str]] = {}
    for fragment in (fragment for chunk in chunks for fragment in chunk.tool_calls):
        name, text = streamed.setdefault(fragment.index, ["", ""])
        streamed[fragment.index] = [name or fragment.name or "", text + fragment.arguments]
    expected = [
        (call.function.name, json.loads(call.function.arguments))
        for call in theirs.choices[0].message.tool_calls or []
        if call.type == "function"
    ]
    assert expected
    assert [(call.name, dict(call.arguments)) for call in ours.tool_calls] == expected
    assert ours.finish_reason == last.finish_reason == "tool_calls"
    assert [(name, json.loads(text)) for name, text in streamed.values()] == expected


@pytest.mark.parametrize("endpoint", [LLAMACPP], indirect=True)
def test_several_answers(endpoint: Endpoint, sdk: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    theirs = sdk.chat.completions.create(model=endpoint.model, messages=messages, max_tokens=5, seed=1, n=3)
    with endpoint.ours(max_tokens=5) as client:
        ours = client.generate(PROMPT, seed=1, n=3)
    assert len(ours.alternatives) == 2
    assert ours.usage
    assert counts(ours.usage) == counts(theirs.usage)
    assert {answer.finish_reason for answer in (ours, *ours.alternatives)} == {"length"}


@pytest.mark.parametrize("endpoint", [LLAMACPP, MLX_LM, MLX_VLM], indirect=True)
def test_log_probabilities_whole_and_streamed(endpoint: Endpoint, sdk: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    theirs = sdk.chat.completions.create(
        model=endpoint.model, messages=messages, max_tokens=4, seed=1, temperature=0, logprobs=True, top_logprobs=2
    )
    logprobs = theirs.choices[0].logprobs
    assert logprobs
    expected = [(token.token, token.logprob, len(token.top_logprobs)) for token in logprobs.content or []]
    assert expected
    with endpoint.ours(max_tokens=4) as client:
        asked: Any = {"seed": 1, "temperature": 0, "logprobs": True, "top_logprobs": 2}
        ours = client.generate(PROMPT, **asked)
        streamed = [token for chunk in client.stream(PROMPT, **asked) for token in chunk.logprobs]
    assert [(token.token, len(token.top)) for token in ours.logprobs] == [(token, top) for token, _, top in expected]
    assert [token.logprob for token in ours.logprobs] == pytest.approx([number for _, number, _ in expected], abs=1e-3)
    # mlx_lm.server omits them in streams.
    assert [token.token for token in streamed] == [token.token for token in ours.logprobs] or endpoint.name == "mlx_lm"


@pytest.mark.parametrize("endpoint", [LLAMACPP, LITELLM, MLX_LM], indirect=True)
def test_text_completion_whole_and_streamed(endpoint: Endpoint, sdk: OpenAI) -> None:
    model = "text" if endpoint.name == "litellm" else endpoint.model
    asked: Any = {"seed": 1, "temperature": 0}
    create = sdk.completions.create
    theirs = create(model=model, prompt="A token is", max_tokens=8, **asked)
    pieces = create(model=model, prompt="A token is", max_tokens=8, stream=True, **asked)
    with endpoint.ours(model=model, max_tokens=8) as client:
        ours = client.complete("A token is", as_text=True, **asked)
        text = "".join(chunk.content for chunk in client.stream("A token is", as_text=True, **asked))
    assert ours.content == theirs.choices[0].text
    assert text == "".join(piece.choices[0].text or "" for piece in pieces if piece.choices)
    assert ours.finish_reason == theirs.choices[0].finish_reason
    assert ours.usage
    assert counts(ours.usage) == counts(theirs.usage)


@pytest.mark.parametrize("endpoint", [LLAMACPP, LITELLM, MLX_LM, AIMOCK], indirect=True)
def test_the_models_and_one_of_them(endpoint: Endpoint, sdk: OpenAI) -> None:
    theirs = [model.id for model in sdk.models.list().data]
    with endpoint.ours() as client:
        assert [model.id for model in client.list_models()] == theirs
        assert endpoint.model in theirs
        if endpoint.name != "aimock":  # which answers 404 for a single model
            assert client.model_info().id == endpoint.model


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("limited", RateLimitError),
        ("full", ContextOverflowError),
        ("broken", ServiceUnavailableError),
        ("unknown", ModelNotFoundError),
    ],
)
def test_the_errors_of_a_gateway_have_the_kinds_of_those_behind_it(
    gateway: Endpoint, model: str, kind: type[LLMError]
) -> None:
    with gateway.ours(model=model) as client, pytest.raises(kind):
        client.generate(PROMPT)


def test_a_gateway_refuses_a_wrong_key_and_reports_the_window_of_its_models(gateway: Endpoint) -> None:
    with gateway.ours(api_key="sk-CANARY-wrong") as client, pytest.raises(AuthenticationError):
        client.generate(PROMPT)
    with gateway.ours(model="quick") as client:
        assert client.generate(PROMPT).content == "Four."
        assert (client.model_info().context_window, client.model_info().max_output) == (272_000, 128_000)


@pytest.mark.parametrize("endpoint", [MLX_LM, MLX_VLM, AIMOCK], indirect=True)
def test_refusals_are_failures_of_ours(endpoint: Endpoint) -> None:
    if endpoint.name == "aimock":
        with endpoint.ours() as client, pytest.raises(RateLimitError):
            client.generate("limit")
        return
    with endpoint.ours(model="/no/such/folder") as client, pytest.raises(LLMError) as caught:
        client.generate(PROMPT)
    assert caught.value.status_code in {400, 404}
