"""The client against llama.cpp's own server, through a relay that breaks connections, with a direct fallback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from integration_tests.support import llamacpp
from integration_tests.support.fault_harness import WAYS, CallResult, Way, arun_call, no_other_task, run_call
from integration_tests.support.llamacpp import KEY, LlamaServer
from integration_tests.support.needs import need
from integration_tests.support.relay import BlackHole, Cut, Delay, Drip, Fault, HalfOpen, Relay
from unified_llm import LLMClient, LLMConfig
from unified_llm.exceptions import ConnectionError, StreamInterruptedError, TimeoutError

# Bytes of the server's answer: its head has about 190, the first token of a stream comes after about 500.
IN_THE_HEAD, BEFORE_THE_FIRST_TOKEN, AFTER_SOME_TOKENS = 100, 300, 1500
BROKEN: dict[str, tuple[Fault, str]] = {
    "cut at once": (Cut(), "connection"),
    "reset at once": (Cut(reset=True), "connection"),
    "cut in the head": (Cut(IN_THE_HEAD), "connection"),
    "reset in the head": (Cut(IN_THE_HEAD, reset=True), "connection"),
    "cut before the first token": (Cut(BEFORE_THE_FIRST_TOKEN), "connection"),
    "reset before the first token": (Cut(BEFORE_THE_FIRST_TOKEN, reset=True), "connection"),
    "half-open at once": (HalfOpen(), "timeout"),
    "half-open before the first token": (HalfOpen(BEFORE_THE_FIRST_TOKEN), "timeout"),
    "a black hole": (BlackHole(), "timeout"),
    "longer than the timeout": (Delay(2.0), "timeout"),
}
INTERRUPTED: dict[str, tuple[Fault, str]] = {
    "cut": (Cut(AFTER_SOME_TOKENS), "connection"),
    "reset": (Cut(AFTER_SOME_TOKENS, reset=True), "connection"),
    "half-open": (HalfOpen(AFTER_SOME_TOKENS), "timeout"),
}
SLOW: dict[str, Fault] = {"one byte at a time": Drip(), "three bytes at a time": Drip(3), "late": Delay(0.02)}
ERRORS = {"connection": ConnectionError, "timeout": TimeoutError}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    need("xllamacpp", "gguf", "numpy", install="pip install xllamacpp gguf numpy")
    path: Path = tmp_path_factory.mktemp("relay") / "random.gguf"
    llamacpp.write_model(path)
    with LlamaServer(path) as running:
        yield running


@pytest.fixture
def relay(server: LlamaServer) -> Iterator[Relay]:
    with Relay(urlsplit(server.base_url).port or 0) as made:
        yield made
        assert made.settles_at(0), "a connection was left open"


def target(base_url: str, **fields: Any) -> LLMConfig:
    fields = {"provider": "llamacpp", "max_tokens": 30, "max_retries": 0, **fields}
    return LLMConfig(model=llamacpp.MODEL, base_url=base_url, api_key=KEY, **fields)


def make_call(way: Way, relay: Relay, fault: Fault | None, direct: LlamaServer | None, **overrides: Any) -> CallResult:
    """Make a call through the relay, with or without a direct fallback."""
    relay.fault = fault
    first = target(f"http://127.0.0.1:{relay.port}/v1", timeout=overrides.pop("timeout", None))
    client = LLMClient(first, fallbacks=[target(direct.base_url, timeout=30)] if direct else [])
    fields = {"seed": 1, "extra_body": {"ignore_eos": True}, **overrides}
    mode, _, shape = way.partition(" ")
    if mode == "sync":
        with client:
            return run_call(client, streaming=shape == "stream", **fields)

    async def amake_call() -> CallResult:
        async with client:
            result = await arun_call(client, streaming=shape == "stream", **fields)
        await no_other_task()
        return result

    return asyncio.run(amake_call())


@pytest.fixture(scope="module")
def whole(server: LlamaServer) -> str:
    """The text of a call without the relay."""
    with LLMClient(target(server.base_url)) as client:
        content = client.generate("CANARY-prompt: what is failover?", seed=1, extra_body={"ignore_eos": True}).content
    assert len(content) > 20
    return content


def outcomes(result: CallResult) -> list[str]:
    return [attempt.outcome for attempt in result.attempts]


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("way", WAYS)
def test_before_the_first_token_the_fallback_answers(
    way: Way, relay: Relay, server: LlamaServer, *, name: str, whole: str
) -> None:
    fault, kind = BROKEN[name]
    timeout = 0.3 if kind == "timeout" else None
    result = make_call(way, relay, fault, server, timeout=timeout)
    assert (outcomes(result), result.text, result.error) == ([kind, "ok"], whole, None)
    alone = make_call(way, relay, fault, None, timeout=timeout)
    assert (outcomes(alone), type(alone.error)) == ([kind], ERRORS[kind])


@pytest.mark.parametrize("name", INTERRUPTED)
@pytest.mark.parametrize("way", [way for way in WAYS if "stream" in way])
def test_after_the_first_token_the_stream_is_interrupted_and_nothing_is_sent_again(
    way: Way, relay: Relay, server: LlamaServer, *, name: str, whole: str
) -> None:
    fault, kind = INTERRUPTED[name]
    result = make_call(way, relay, fault, server, deadline=2.5 if kind == "timeout" else 60)
    assert isinstance(result.error, StreamInterruptedError)
    assert outcomes(result) == [kind]
    assert result.error.partial == "".join(chunk.content for chunk in result.chunks)
    assert 0 < len(result.error.partial) < len(whole)
    assert whole.startswith(result.error.partial)


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_comes_slowly_is_the_same_answer(
    way: Way, relay: Relay, server: LlamaServer, *, name: str, whole: str
) -> None:
    result = make_call(way, relay, SLOW[name], server)
    assert (outcomes(result), result.text, result.error) == (["ok"], whole, None)


@pytest.mark.parametrize("way", WAYS)
def test_a_relay_without_a_fault_is_not_noticed(way: Way, relay: Relay, server: LlamaServer, whole: str) -> None:
    result = make_call(way, relay, None, server)
    assert (outcomes(result), result.text) == (["ok"], whole)
