"""Models of MLX through the adapters: JSON, several responses, standby, and options of embedding requests."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.support.tiny_models import make_model
from tests.support import tiny_bert
from unified_llm import LLMClient
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engines import close_engines
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.openai_style import BadRequestError, OpenAI

pytestmark = [
    pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason())),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),  # LlamaIndex's own
]

SCHEMA = {
    "title": "Answer",
    "description": "An answer.",
    "type": "object",
    "properties": {"unit": {"type": "boolean"}},
    "required": ["unit"],
}
# Nothing listens there: connections are refused at once.
DOWN: dict[str, Any] = {"model": "vllm/any", "base_url": "http://127.0.0.1:9/v1", "max_retries": 0}
MESSAGES: list[Any] = [{"role": "user", "content": "Hello?"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield f"mlx/{make_model(tmp_path_factory.mktemp('surfaces') / 'model')}"
    close_engines()


@pytest.mark.parametrize("method", ["json_mode", "function_calling"])
def test_structured_output_is_an_object_in_every_way_of_calling(model: str, method: Any) -> None:
    chat = ChatUnified(model=model, max_tokens=400, temperature=1.0, seed=2)
    schema: Any = SCHEMA if method == "function_calling" else None  # without a schema, a model chooses the keys
    structured = chat.with_structured_output(schema, method=method)

    async def stream() -> list[Any]:
        return [part async for part in structured.astream("Answer in JSON.")]

    results = [
        structured.invoke("Answer in JSON."),
        asyncio.run(structured.ainvoke("Answer in JSON.")),
        list(structured.stream("Answer in JSON."))[-1],
        asyncio.run(stream())[-1],
    ]
    assert all(isinstance(result, dict) for result in results)
    if method == "function_calling":
        assert all(isinstance(result["unit"], bool) for result in results)


def _langchain(model: str, **options: Any) -> Any:
    return ChatUnified(model=model).invoke("Hello?", **options)


def _llama_index(model: str, **options: Any) -> Any:
    return UnifiedLLM(model=model).complete("Hello?", **options)


def _client(model: str, **options: Any) -> Any:
    return LLMClient(model).generate("Hello?", **options)


@pytest.mark.parametrize("ask", [_client, _langchain, _llama_index])
def test_several_responses_are_refused(model: str, ask: Callable[..., Any]) -> None:
    with pytest.raises(Exception, match=r"cannot give several answers at once|has no field 'n'"):
        ask(model, n=2)
    with pytest.raises(Exception, match="MLX has no option 'n'"):
        ask(model, extra_body={"n": 2})


def test_several_responses_are_refused_in_the_style_of_openai(model: str) -> None:
    client = OpenAI(model=model)
    for stream in (False, True):
        with pytest.raises(BadRequestError, match="several answers at once"):
            list(client.chat.completions.create(messages=MESSAGES, n=2, stream=stream))
    with pytest.raises(BadRequestError, match="several answers at once"):
        client.completions.create(prompt="Hello?", n=2)


def test_a_bias_of_tokens_works_in_every_style(model: str) -> None:
    options: dict[str, Any] = {"logit_bias": {"70": 100}, "max_tokens": 4}
    expected = LLMClient(model).generate("Hello?", **options).content
    assert len(set(expected)) == 1
    assert _langchain(model, **options).content == expected
    completion = OpenAI(model=model).chat.completions.create(messages=MESSAGES, **options)
    assert completion.choices[0].message.content == expected


def test_a_fallback_on_standby_serves_the_adapters(model: str) -> None:
    standby = {"model": model, "standby": "warm", "max_tokens": 4}
    assert UnifiedLLM(**DOWN, fallbacks=[standby]).complete("Hello?").text
    assert ChatUnified(**DOWN, fallbacks=[standby]).invoke("Hello?").content
    client = OpenAI(**DOWN, fallbacks=[standby])
    assert client.chat.completions.create(messages=MESSAGES).choices[0].message.content


def test_a_fallback_on_standby_serves_the_command_line(model: str, tmp_path: Path) -> None:
    file = tmp_path / "chain.json"
    fallback = {"model": model, "standby": "warm", "max_tokens": 4}
    file.write_text(json.dumps({"profiles": {"local": {**DOWN, "fallbacks": [fallback]}}}), encoding="utf-8")
    file.chmod(0o600)
    command = [sys.executable, "-m", "unified_llm", "generate", "--config", str(file), "-m", "@local", "Hello?"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_options_of_embedding_requests_are_refused_or_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny_bert.write(tmp_path)
    client = LLMClient(f"mlx/{tmp_path}")
    with pytest.raises(UnsupportedOperationError, match="MLX has no option 'trunkate'"):
        client.embed(["one"], extra_body={"trunkate": True})
    assert client.embed(["one"], extra_body={"top_k": 3}).vectors
    assert "top_k" in caplog.text
