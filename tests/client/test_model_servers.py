"""Models that Ollama and LM Studio load on request; the fakes refuse what the documentation of these does not have."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import CANARY
from tests.support.model_servers import FakeExchange, FakeLMStudio, FakeOllama
from unified_llm import LLMClient
from unified_llm._client.model_servers import ModelServers
from unified_llm._core.model_loading import LoadError, Preloaded
from unified_llm._core.target import Target

LMSTUDIO = "qwen/qwen3-4b"


def on_standby(model: str, **fields: Any) -> Target:
    return LLMClient("openai/gpt-4o", fallbacks=[{"model": model, "standby": "warm", **fields}]).targets[1]


def servers_at(server: FakeOllama | FakeLMStudio) -> ModelServers:
    return ModelServers(partial(FakeExchange, server))


@each("fields", [{}, {"api": "chat"}, {"base_url": "http://127.0.0.1:11434"}, {"base_url": "http://localhost:9/api"}])
def test_ollama_loads_a_model_by_a_request_without_a_prompt_and_unloads_it(fields: dict[str, Any]) -> None:
    server = FakeOllama({"llama3.2:latest": False})
    servers, target = servers_at(server), on_standby("ollama/llama3.2", **fields)
    loaded = servers.preload(target)
    assert loaded == Preloaded()
    assert server.loaded == {"llama3.2:latest": ({}, "30m")}
    assert servers.preload(target).before
    servers.unload(target, loaded)
    assert server.loaded == {}
    assert servers.seconds_kept(target) == 900.0


@each(
    ("fields", "loaded"),
    [
        ({"context_window": 8192}, ({"num_ctx": 8192}, "30m")),
        ({"extra_body": {"options": {"num_ctx": 8192, "num_gpu": 1}}}, ({"num_ctx": 8192, "num_gpu": 1}, "30m")),
        ({"extra_body": {"num_ctx": 8192, "keep_alive": "2h"}}, ({"num_ctx": 8192}, "2h")),
        ({"temperature": 0.5}, ({}, "30m")),
    ],
)
def test_ollama_loads_it_with_the_options_of_every_request(fields: dict[str, Any], loaded: Any) -> None:
    server = FakeOllama({"llama3.2:latest": False})
    servers_at(server).preload(on_standby("ollama/llama3.2", **fields))
    assert server.loaded == {"llama3.2:latest": loaded}


def test_ollama_loads_a_model_for_embeddings_by_the_other_path() -> None:
    server = FakeOllama({"nomic-embed-text:latest": True})
    target = on_standby("ollama/nomic-embed-text")
    servers_at(server).preload(target)
    assert server.requests == [("GET", "/api/ps"), ("POST", "/api/embed")]
    servers_at(server).unload(target, Preloaded())
    assert server.loaded == {}


@each("fields", [{}, {"api": "responses"}, {"base_url": "http://127.0.0.1:1234/api/v0"}])
def test_lm_studio_loads_one_instance_and_unloads_that(fields: dict[str, Any]) -> None:
    server = FakeLMStudio({LMSTUDIO})
    servers, target = servers_at(server), on_standby(f"lmstudio/{LMSTUDIO}", context_window=16384, **fields)
    loaded = servers.preload(target)
    assert server.instances == {f"{LMSTUDIO}:1": (LMSTUDIO, 16384)}
    assert servers.preload(target) == Preloaded(before=True)
    assert len(server.instances) == 1
    servers.unload(target, loaded)
    assert server.instances == {}
    assert servers.seconds_kept(target) == float("inf")


@each("model", ["ollama/llama3.2", f"lmstudio/{LMSTUDIO}"])
def test_the_key_and_the_headers_of_the_target_are_sent(model: str) -> None:
    server = FakeOllama({"llama3.2:latest": False}) if model.startswith("ollama") else FakeLMStudio({LMSTUDIO})
    servers_at(server).preload(on_standby(model, api_key=CANARY, default_headers={"X-Team": "blue"}))
    assert len(server.headers) == 2
    for headers in server.headers:
        assert (headers["authorization"], headers["x-team"]) == (f"Bearer {CANARY}", "blue")


@each(
    ("server", "model", "problem"),
    [
        (FakeOllama({}), "ollama/llama3.2", "no such model"),
        (FakeLMStudio(set()), "lmstudio/other", "lmstudio/other"),
        (FakeLMStudio({LMSTUDIO}, has_api=False), f"lmstudio/{LMSTUDIO}", "which LM Studio has from 0.4 on"),
    ],
)
def test_a_server_that_cannot_load_it_is_one_error_without_the_key(server: Any, model: str, problem: str) -> None:
    with pytest.raises(LoadError) as refused:
        servers_at(server).preload(on_standby(model, api_key=CANARY))
    assert problem in str(refused.value) or model in str(refused.value)
    assert CANARY not in str(refused.value)
