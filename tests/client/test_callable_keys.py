"""Keys that a callable returns: kept until a server refuses them, or for their time, and fetched by one caller."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr

from tests.support.canary_checks import assert_no_canary_in_error
from tests.support.each import each
from tests.support.four_ways import WAYS, Way, outcome_of
from tests.support.key_server import KeyServer
from unified_llm import LLMClient, LLMConfig, health_snapshot
from unified_llm.exceptions import AuthenticationError, ConfigurationError, TimeoutError

OLD, NEW = "old-key-0123456789", "new-key-0123456789"
JWT = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"
MODEL = "vllm/m"


class Vault:
    """Returns these keys, one after the other; the last one repeats."""

    def __init__(self, *keys: Any) -> None:
        self.keys, self.calls = list(keys), 0

    def get(self) -> Any:
        self.calls += 1
        return self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]

    async def aget(self) -> Any:
        return self.get()


def client_of(key: Any, **fields: Any) -> LLMClient:
    return LLMClient(LLMConfig(model=MODEL, base_url=KeyServer.url, api_key=key, **fields))


def outcomes(way: Way, client: LLMClient) -> str:
    outcome = outcome_of(way, client, "Hello?")
    return outcome.content or outcome.message


# Sync and async callables, in all ways of calling


@pytest.mark.parametrize("way", WAYS)
def test_a_refused_key_is_replaced_and_the_request_sent_again_once(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    server, vault = KeyServer(monkeypatch, NEW), Vault(OLD, NEW)
    client = client_of(vault.get)
    assert [outcomes(way, client) for _ in range(3)] == ["Hi."] * 3
    assert server.keys == [OLD, NEW, NEW, NEW]
    assert vault.calls == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_key_that_is_refused_again_is_sent_once_more_only_if_it_is_another(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, same = KeyServer(monkeypatch), Vault(OLD)
    assert "the API key was refused" in outcomes(way, client_of(same.get))
    assert (server.keys, same.calls) == ([OLD], 2)
    server, other = KeyServer(monkeypatch), Vault("first-key-0123456", "second-key-0123456", "third-key-0123456")
    assert "the API key was refused" in outcomes(way, client_of(other.get, account="other"))
    assert (server.keys, other.calls) == (["first-key-0123456", "second-key-0123456"], 2)


def test_a_refused_key_of_a_callable_is_in_cooldown_for_less_time_than_a_plain_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    KeyServer(monkeypatch)
    for name, key in {"plain": OLD, "callable": Vault(OLD).get}.items():
        outcomes("generate", client_of(key, account=name, name=name))
    seconds = sorted(cooldown["seconds"] for row in health_snapshot() for cooldown in row["cooldowns"])
    assert seconds[:: len(seconds) - 1] == pytest.approx([30, 300], abs=2)


def test_a_stream_that_refuses_the_key_after_its_head_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = KeyServer(monkeypatch, NEW)
    server.in_stream = True
    assert outcomes("stream", client_of(Vault(OLD, NEW).get)) == "Hi."
    assert outcomes("astream", client_of(Vault(OLD, NEW).aget)) == "Hi."
    assert server.keys == [OLD, NEW] * 2


def test_every_kind_of_request_has_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    server, vault = KeyServer(monkeypatch, NEW), Vault(OLD, NEW)
    client = client_of(vault.get)
    client.embed(["a", "b"])
    client.list_models()
    asyncio.run(client.aembed("a"))
    asyncio.run(client.alist_models(use_cache=False))
    ranking = LLMClient("cohere/rerank-v3.5", base_url=server.url, api_key=vault.get)
    ranking.rerank("q", ["a", "b"])
    asyncio.run(ranking.arerank("q", ["a"]))
    assert server.keys == [OLD, *[NEW] * 6]


class AsyncVault(Vault):
    async def __call__(self) -> Any:
        return self.get()


def wrapped(call: Callable[[], Awaitable[Any]]) -> Callable[[], Any]:
    return lambda: call()  # noqa: PLW0108 - whose signature does not say that it is async


ASYNC_FORMS: dict[str, Callable[[], Callable[[], Any]]] = {
    "method": lambda: Vault(NEW).aget,
    "object": lambda: AsyncVault(NEW),
    "partial": lambda: functools.partial(Vault(NEW).aget),
    "partial of an object": lambda: functools.partial(AsyncVault(NEW)),
    "function that returns an awaitable": lambda: wrapped(Vault(NEW).aget),
}


@each("form", ASYNC_FORMS)
def test_an_async_callable_serves_async_calls_and_is_refused_in_sync_ones(form: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        server = KeyServer(patch, NEW)
        client = client_of(ASYNC_FORMS[form]())
        assert [outcomes(way, client) for way in ("agenerate", "astream", "agenerate")] == ["Hi."] * 3
        assert server.keys == [NEW] * 3
        client = client_of(ASYNC_FORMS[form]())
        calls: list[Callable[[str], Any]] = [client.generate, client.stream, client.embed]
        for call in calls:
            with pytest.raises(ConfigurationError, match="a sync call cannot await: use the async methods") as refused:
                call("Hello?")
            assert (
                "Vault.aget" in str(refused.value)
                or "AsyncVault" in str(refused.value)
                or "wrapped" in str(refused.value)
            )
        assert server.keys == [NEW] * 3


def test_a_sync_call_is_refused_before_anything_is_sent_also_where_a_fallback_has_the_async_callable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = KeyServer(monkeypatch, NEW)
    fallback = LLMConfig(model=MODEL, base_url="http://127.0.0.1:9200", api_key=Vault(NEW).aget)
    client = LLMClient(MODEL, base_url=server.url, api_key=NEW, fallbacks=[fallback])
    with pytest.raises(ConfigurationError, match="a sync call cannot await"):
        client.generate("Hello?")
    assert server.sent == []
    assert asyncio.run(client.agenerate("Hello?")).content == "Hi."


# What a callable may return


class AccessToken(NamedTuple):
    token: str
    expires_on: int


@each("returned", [NEW, SecretStr(NEW), (NEW, 3600), [NEW, 5.5], (SecretStr(NEW), None), (NEW, float("inf")), (NEW, 0)])
def test_a_callable_returns_a_key_or_a_key_and_its_seconds(returned: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        server = KeyServer(patch, NEW)
        assert outcomes("generate", client_of(lambda: returned)) == "Hi."
        assert server.keys == [NEW]


WRONG: list[tuple[Any, str]] = [
    ("", "is empty"),
    ("key-CANARY\n", "has white space"),
    ("key CANARY", "has a space"),
    (None, "must be a string, not NoneType"),
    (b"key-CANARY", "must be a string, not bytes"),
    ({"token": "CANARY"}, "must be a string, not dict"),
    (("key-CANARY",), "must be a key or (key, seconds), not 1 values"),
    (("key-CANARY", "3600"), "has a time that must be a number of seconds, not text"),
    (("key-CANARY", True), "has a time that must be a number of seconds, not True"),
    (("key-CANARY", -1), "has a time that must be a number of seconds, 0 or greater"),
    (("key-CANARY", float("nan")), "has a time that must be a finite number of seconds"),
    (AccessToken("key-CANARY", 1_900_000_000), "has a date in place of the seconds"),
]


@each("returned, problem", WRONG)
def test_a_malformed_key_is_one_error_without_its_value(returned: Any, problem: str) -> None:
    for key in (lambda: returned, Vault(returned).aget):
        with pytest.MonkeyPatch.context() as patch:
            server, client = KeyServer(patch), client_of(key, account=problem[:9])
            with pytest.raises(AuthenticationError) as refused:
                asyncio.run(client.agenerate("Hello?"))
        assert problem in str(refused.value)
        assert "API key callable" in str(refused.value)
        assert_no_canary_in_error(refused.value)
        assert server.sent == []


def refuse_to_say() -> Any:
    raise RuntimeError("CANARY is in the text")


async def refuse_to_say_later() -> Any:
    raise RuntimeError("CANARY is in the text", "CANARY")


@each("key", [refuse_to_say, refuse_to_say_later])
def test_an_exception_in_a_callable_is_named_by_its_type_alone_and_others_are_tried(key: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        server = KeyServer(patch, NEW)
        client = client_of(key)
        with pytest.raises(AuthenticationError, match="raised RuntimeError; call it by itself") as failed:
            asyncio.run(client.agenerate("Hello?"))
        assert_no_canary_in_error(failed.value)
        assert (failed.value.__cause__, failed.value.__context__) == (None, None)
        assert [attempt.outcome for attempt in failed.value.attempts] == ["auth"]
        assert [row["cooldowns"] for row in health_snapshot()] == [[]]
        second = LLMConfig(model=MODEL, base_url="http://127.0.0.1:9200", api_key=NEW)
        config = LLMConfig(model=MODEL, base_url=KeyServer.url, api_key=key)
        response = asyncio.run(LLMClient(config, fallbacks=[second]).agenerate("Hello?"))
        assert response.used_fallback
        assert server.keys == [NEW]


@each("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_ends_a_program_passes_through_a_callable(error: type[BaseException]) -> None:
    def stop() -> str:
        raise error

    with pytest.raises(error):
        client_of(stop).generate("Hello?")


WRONG_CALLABLES: list[tuple[Any, str]] = [
    (SecretStr, "is the class pydantic"),
    (lambda scope: scope, "is called without arguments, and .* needs scope"),
    (Vault.get, "needs self"),
]


@each("key, problem", WRONG_CALLABLES)
def test_what_cannot_be_called_is_refused_at_construction(key: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        client_of(key)
    coroutine = Vault(NEW).aget()
    with pytest.raises(ConfigurationError, match="pass the function itself"):
        client_of(coroutine)


# Time


@pytest.mark.parametrize("way", WAYS)
def test_a_callable_that_never_returns_costs_its_callers_their_deadline(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    KeyServer(monkeypatch)
    release, threads = threading.Event(), threading.active_count()
    client = LLMClient(
        LLMConfig(model=MODEL, base_url=KeyServer.url, api_key=lambda: f"{release.wait()}"), deadline=0.05
    )
    for _ in range(3):
        outcome = outcome_of(way, client, "Hello?")
        assert outcome.error is TimeoutError
        assert "returned no API key" in outcome.message
    assert threading.active_count() <= threads + 1
    release.set()


def test_an_async_callable_that_never_returns_is_cancelled_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    KeyServer(monkeypatch)
    ended: list[str] = []

    async def key() -> str:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")
        return NEW

    client = LLMClient(LLMConfig(model=MODEL, base_url=KeyServer.url, api_key=key), deadline=0.05)
    with pytest.raises(TimeoutError, match="returned no API key"):
        asyncio.run(client.agenerate("Hello?"))
    assert ended == ["cancelled"]


# One call at a time


def test_tasks_share_one_call_and_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    server = KeyServer(monkeypatch, NEW)
    release, vault = threading.Event(), Vault(NEW)

    def slow() -> str:
        release.wait(60)
        return f"{vault.get()}"

    async def main() -> list[str]:
        tasks = [asyncio.create_task(client.agenerate("Hello?")) for client in (client_of(slow), client_of(slow)) * 4]
        await asyncio.sleep(0.01)  # the loop runs while the callable blocks its thread
        release.set()
        return [response.content for response in await asyncio.gather(*tasks)]

    assert asyncio.run(main()) == ["Hi."] * 8
    assert (vault.calls, len(server.keys)) == (1, 8)


def test_one_that_waits_goes_on_where_the_caller_that_fetched_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    KeyServer(monkeypatch, NEW)
    calls: list[str] = []

    async def key() -> str:
        calls.append("called")
        await asyncio.sleep(3600 if len(calls) == 1 else 0)
        return NEW

    client = client_of(key)

    async def main() -> str:
        first = asyncio.create_task(client.agenerate("Hello?"))
        second = asyncio.create_task(client.agenerate("Hello?"))
        await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return (await second).content

    assert asyncio.run(main()) == "Hi."
    assert len(calls) == 2


def test_a_sync_callable_runs_in_the_context_of_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    server = KeyServer(monkeypatch, NEW)
    tenant = contextvars.ContextVar("tenant", default="none")

    def key() -> str:
        return NEW if tenant.get() == "acme" else OLD

    tenant.set("acme")
    assert outcomes("generate", client_of(key)) == "Hi."
    assert server.keys == [NEW]


# Headers


@each("model, key, header", [
    ("azure/gpt-4o", JWT, ("authorization", f"Bearer {JWT}")),
    ("azure/gpt-4o", NEW, ("api-key", NEW)),
    ("openai/gpt-4o", JWT, ("authorization", f"Bearer {JWT}")),
    ("gemini/gemini-2.5-flash", NEW, ("x-goog-api-key", NEW)),
    ("anthropic/claude-haiku-4-5", NEW, ("x-api-key", NEW)),
])  # fmt: skip
def test_keys_and_tokens_go_in_the_header_that_their_provider_reads(
    model: str, key: str, header: tuple[str, str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        server = KeyServer(patch)
        client = LLMClient(LLMConfig(model=model, base_url="http://127.0.0.1:9199", api_key=lambda: key, max_retries=0))
        with pytest.raises(AuthenticationError) as refused:
            client.generate("Hello?")
        assert server.sent == [header]
        assert key not in f"{refused.value} {refused.value.detail}"
