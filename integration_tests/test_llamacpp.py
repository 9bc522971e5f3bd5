"""Against llama.cpp's own server: an independent implementation of the protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.support import llamacpp
from integration_tests.support.llamacpp import KEY, LlamaServer
from integration_tests.support.needs import need
from unified_llm import LLMClient, LLMConfig
from unified_llm._client.local_servers import find_local_servers
from unified_llm._client.stream import Stream
from unified_llm.exceptions import AuthenticationError, ContextOverflowError, StreamInterruptedError
from unified_llm.langchain import ChatUnified

pytestmark = pytest.mark.proves(
    "llamacpp", "chat", "stream", "tools", "schema", "embeddings", "models", "errors",
    against="its own server",
)  # fmt: skip

LAMP = {
    "type": "object",
    "properties": {"room": {"enum": ["kitchen", "hall"]}, "on": {"type": "boolean"}},
    "required": ["room", "on"],
}
TOOL = {"type": "function", "function": {"name": "lamp", "description": "Switch a lamp.", "parameters": LAMP}}


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("xllamacpp", "gguf", "numpy", install="pip install xllamacpp gguf numpy")
    path = tmp_path_factory.mktemp("llamacpp") / "random.gguf"
    llamacpp.write_model(path)
    return path


@pytest.fixture(scope="module")
def running(model_file: Path) -> Iterator[LlamaServer]:
    with LlamaServer(model_file) as server:
        yield server


@pytest.fixture
def doomed(model_file: Path) -> Iterator[LlamaServer]:
    """A server that the test may kill."""
    with LlamaServer(model_file, context=16_384) as server:
        yield server


def target(server: LlamaServer, **fields: Any) -> LLMConfig:
    fields = {"api_key": KEY, "max_tokens": 40, **fields}
    return LLMConfig(provider="llamacpp", model=llamacpp.MODEL, base_url=server.base_url, **fields)


def test_it_answers(running: LlamaServer) -> None:
    with LLMClient(target(running)) as client:
        answer = client.generate("hello", seed=1)
    assert answer.content
    assert (answer.model, answer.provider) == (llamacpp.MODEL, "llamacpp")
    assert answer.usage
    assert answer.usage.prompt_tokens > 0
    assert 0 < answer.usage.completion_tokens <= 40


async def test_a_stream_has_the_text_of_the_whole_answer(running: LlamaServer) -> None:
    async with LLMClient(target(running)) as client:
        whole = await client.agenerate("hello", seed=3)
        chunks = [chunk async for chunk in client.astream("hello", seed=3)]
    # The model writes bytes, often half a character: the stream's chunks and the whole must still agree.
    assert "".join(chunk.content for chunk in chunks) == whole.content
    assert len(chunks) > 3
    assert chunks[-1].usage
    assert chunks[-1].finish_reason == whole.finish_reason


@pytest.mark.parametrize("seed", range(3))
def test_it_writes_json_of_a_schema(running: LlamaServer, seed: int) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "lamp", "schema": LAMP}}
    with LLMClient(target(running, max_tokens=500)) as client:
        answer = json.loads(client.generate("hello", response_format=wanted, seed=seed).content)
    assert answer["room"] in {"kitchen", "hall"}
    assert isinstance(answer["on"], bool)


@pytest.mark.parametrize("seed", range(3))
def test_it_calls_tools(running: LlamaServer, seed: int) -> None:
    question = {
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [TOOL],
        "tool_choice": "required",
        "parallel_tool_calls": False,  # or a random model may call functions without end
    }
    with LLMClient(target(running, max_tokens=2000)) as client:
        answer = client.generate(question, seed=seed)
        chunks = list(client.stream(question, seed=seed))
    assert answer.finish_reason == "tool_calls"
    for call in answer.tool_calls:
        assert (call.name, call.error, set(call.arguments)) == ("lamp", None, {"room", "on"})
    fragments: dict[int, str] = {}
    for part in (part for chunk in chunks for part in chunk.tool_calls):
        fragments[part.index] = fragments.get(part.index, "") + part.arguments
    assert [json.loads(text) for text in fragments.values()] == [call.arguments for call in answer.tool_calls]


def test_langchain_tools_reach_it(running: LlamaServer) -> None:
    model = ChatUnified(model=f"llamacpp/{llamacpp.MODEL}", base_url=running.base_url, api_key=KEY, max_tokens=2000)
    called = model.bind_tools([TOOL], tool_choice="any", parallel_tool_calls=False).invoke("hello", seed=1)
    assert called.tool_calls[0]["name"] == "lamp"
    assert called.response_metadata["unified_llm"]["served_by"] == f"llamacpp/{llamacpp.MODEL}"


def test_it_embeds(model_file: Path) -> None:
    with LlamaServer(model_file, embedding=True) as server, LLMClient(target(server, max_tokens=None)) as client:
        first, other, again = client.embed(["one", "two", "one"]).vectors
    assert len(first) == 64
    assert list(first) == pytest.approx(list(again), abs=1e-4)
    assert list(first) != pytest.approx(list(other), abs=1e-4)


def test_it_lists_its_model(running: LlamaServer) -> None:
    with LLMClient(target(running)) as client:
        assert [model.id for model in client.list_models()] == [llamacpp.MODEL]


def test_a_prompt_that_is_too_long_is_a_context_overflow(running: LlamaServer) -> None:
    with LLMClient(target(running)) as client, pytest.raises(ContextOverflowError) as failure:
        client.generate("word " * 5000)
    assert len(failure.value.attempts) == 1


def test_a_refused_key_is_skipped_while_another_is_valid(running: LlamaServer) -> None:
    wrong = target(running, api_key="sk-CANARY-of-somebody-else")
    with LLMClient(wrong) as client, pytest.raises(AuthenticationError):
        client.generate("hello")
    with LLMClient(wrong, fallbacks=[target(running)]) as client:
        outcomes = [[attempt.outcome for attempt in client.generate("hello").attempts] for _ in range(2)]
    assert outcomes == [["skipped", "ok"], ["skipped", "ok"]]


def test_a_server_killed_in_the_middle_of_a_stream_interrupts_it(doomed: LlamaServer) -> None:
    client = LLMClient(target(doomed, max_tokens=15_000), fallbacks=["mlx/demo"])
    # No end of turn, or the answer could be over before the kill.
    stream = client.stream("hello", seed=1, extra_body={"ignore_eos": True})
    text = "".join(next(stream).content for _ in range(5))
    doomed.kill()
    with pytest.raises(StreamInterruptedError) as failure:
        text += _rest(stream)
    assert text
    assert failure.value.partial.startswith(text)
    assert failure.value.partial == stream.partial
    assert [attempt.outcome for attempt in failure.value.attempts] == ["connection"]
    client.close()


def _rest(stream: Stream) -> str:
    return "".join(chunk.content for chunk in stream)


def test_a_server_killed_before_is_replaced_by_the_embedded_model(doomed: LlamaServer) -> None:
    need("mlx_lm", install="pip install 'unified-llm[mlx]'")
    with LLMClient(target(doomed), fallbacks=["mlx/demo"]) as client:
        client.generate("hello")
        doomed.kill()
        answer = client.generate("What is failover?")
    assert (answer.used_fallback, answer.fallback_provider) == (True, "mlx")
    assert "failover" in answer.content.lower()


def test_it_is_found_on_this_machine_by_the_name_in_its_list(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LlamaServer(model_file, keyless=True) as server:
        monkeypatch.setenv("VLLM_BASE_URL", server.base_url)  # the list says more than the address
        local = [local for local in find_local_servers(timeout=5.0) if local.base_url == server.base_url]
    assert [(each.provider, each.certain) for each in local] == [("llamacpp", True)]
    assert [info.model_string for info in local[0].models] == [f"llamacpp/{llamacpp.MODEL}"]


def test_a_server_that_asks_for_a_key_is_not_found(running: LlamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACPP_BASE_URL", running.base_url)
    monkeypatch.setenv("LLAMA_API_KEY", KEY)  # which is not sent
    assert running.base_url not in [local.base_url for local in find_local_servers(timeout=5.0)]
