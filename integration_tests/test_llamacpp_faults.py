"""Faults of llama.cpp's own server: a model that still loads, and requests that it cannot serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.support import llamacpp
from integration_tests.support.llamacpp import KEY, LlamaServer
from integration_tests.support.needs import need
from unified_llm import LLMClient, LLMConfig, Message, health_snapshot
from unified_llm.exceptions import ContextOverflowError, LLMError, UnsupportedOperationError
from unified_llm.types import LLMResponse

pytestmark = pytest.mark.proves("llamacpp", "errors", "embeddings", against="its own server")

PIXEL = "data:image/png;base64,iVBORw0KGgo="
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}]
TOOL = {"type": "function", "function": {"name": "lamp", "parameters": {"type": "object", "properties": {}}}}
Server = Callable[..., LlamaServer]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("xllamacpp", "gguf", "numpy", install="pip install xllamacpp gguf numpy")
    return tmp_path_factory.mktemp("llamacpp")


@pytest.fixture(scope="module")
def model_file(folder: Path) -> Path:
    llamacpp.write_model(folder / "random.gguf")
    return folder / "random.gguf"


@pytest.fixture(scope="module")
def slow_file(folder: Path) -> Path:
    """A model that takes a second to load."""
    llamacpp.write_model(folder / "slow.gguf", width=16, unused=200_000)
    return folder / "slow.gguf"


@pytest.fixture(scope="module")
def other(model_file: Path) -> Iterator[LlamaServer]:
    """The server of the fallback, with a window four times as large."""
    with LlamaServer(model_file, context=8192) as server:
        yield server


def target(server: LlamaServer, name: str = "first", **fields: Any) -> LLMConfig:
    fields = {"api_key": KEY, "max_tokens": 8, "name": name, **fields}
    return LLMConfig(provider="llamacpp", model=llamacpp.MODEL, base_url=server.base_url, **fields)


def outcomes(response: LLMResponse | LLMError) -> list[str]:
    return [attempt.outcome for attempt in response.attempts if attempt.outcome != "skipped"]


def breaker_failures() -> set[int]:
    return {row["consecutive_failures"] for row in health_snapshot()}


# 503 while the model loads


def test_a_model_that_loads_is_waited_for(slow_file: Path) -> None:
    with LlamaServer(slow_file, loading=True) as server, LLMClient(target(server), deadline=120) as client:
        answer = client.generate("hello")
    assert outcomes(answer) == ["loading", "ok"]
    assert breaker_failures() == {0}


async def test_a_stream_waits_for_a_model_that_loads(slow_file: Path) -> None:
    with LlamaServer(slow_file, loading=True) as server:
        async with LLMClient(target(server), deadline=120) as client:
            stream = client.astream("hello")
            chunks = [chunk async for chunk in stream]
    assert chunks
    assert [attempt.outcome for attempt in stream.attempts] == ["loading", "ok"]


def test_a_fallback_answers_while_a_model_loads(slow_file: Path, other: LlamaServer) -> None:
    with LlamaServer(slow_file, loading=True) as server:
        client = LLMClient(target(server), fallbacks=[target(other, "second")])
        answer = client.generate("hello")
        client.close()
    assert outcomes(answer) == ["loading", "ok"]
    assert breaker_failures() == {0}


# Requests that this server cannot serve


def test_an_image_goes_to_the_next_target_and_the_server_stays_healthy(model_file: Path, other: LlamaServer) -> None:
    with LlamaServer(model_file) as server, LLMClient(target(server)) as alone:
        for _ in range(6):
            with pytest.raises(UnsupportedOperationError):
                alone.generate(IMAGE)
        assert breaker_failures() == {0}
        assert outcomes(alone.generate("hello")) == ["ok"]


def test_tools_without_templates_go_to_the_next_target(model_file: Path, other: LlamaServer) -> None:
    request = {"messages": [{"role": "user", "content": "hello"}], "tools": [TOOL]}
    with LlamaServer(model_file, jinja=False) as server:
        client = LLMClient(target(server), fallbacks=[target(other, "second")])
        whole = client.generate(request)
        with client.stream(request) as stream:
            assert list(stream)
        client.close()
    assert outcomes(whole) == ["unsupported", "ok"]
    assert [attempt.outcome for attempt in stream.attempts][-2:] == ["unsupported", "ok"]
    assert breaker_failures() == {0}


def test_a_schema_that_cannot_be_compiled_is_asked_for_by_prompt(model_file: Path) -> None:
    broken = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "#/$defs/Nope"}}}
    with LlamaServer(model_file) as server, LLMClient(target(server)) as client:
        # The model is random: if it could end its response, that would be no JSON, and would be asked for again.
        answer = client.generate("hello", response_format=broken, extra_body={"ignore_eos": True})
    assert (outcomes(answer), answer.finish_reason) == (["unsupported", "ok"], "length")
    assert breaker_failures() == {0}


def test_a_prompt_beyond_the_window_goes_to_a_larger_one(model_file: Path, other: LlamaServer) -> None:
    with LlamaServer(model_file, context=512) as server:
        client = LLMClient(target(server), fallbacks=[target(other, "second")])
        answer = client.generate("word " * 500)
        with pytest.raises(ContextOverflowError) as failure:
            client.generate("word " * 5000)
        client.close()
    assert outcomes(answer) == ["context", "ok"]
    assert outcomes(failure.value) == ["context", "context"]


def test_roles_that_a_strict_template_refuses_are_joined(folder: Path) -> None:
    path = folder / "strict.gguf"
    llamacpp.write_model(path, template=llamacpp.STRICT_TEMPLATE)
    messages = [
        Message.system("Be brief."),
        Message.system("Be kind."),
        Message.user("One."),
        Message.user("Two."),
    ]
    with LlamaServer(path) as server, LLMClient(target(server)) as client:
        assert outcomes(client.generate(messages)) == ["ok"]
        with pytest.raises(LLMError) as failure:
            client.generate(messages, merge_messages=False)
    assert outcomes(failure.value) == ["unsupported"]
    assert breaker_failures() == {0}


# Lists of texts


@pytest.mark.case(83)
def test_one_text_over_the_physical_batch_does_not_lose_the_others(model_file: Path) -> None:
    texts = ["a", "b", "word " * 40, "c", "d"]
    with LlamaServer(model_file, embedding=True, physical_batch=64) as server:
        client = LLMClient(target(server, max_tokens=None))
        with pytest.raises(LLMError) as failure:
            client.embed(texts)
        client.close()
    assert failure.value.position == 2
    assert sorted(failure.value.partial) == [0, 1, 3, 4]
    assert breaker_failures() == {0}


def test_a_list_over_the_physical_batch_is_split(model_file: Path) -> None:
    with LlamaServer(model_file, embedding=True, physical_batch=64) as server:
        client = LLMClient(target(server, max_tokens=None))
        vectors = client.embed(["word " * 4 for _ in range(8)]).vectors
        client.close()
    assert len(vectors) == 8
