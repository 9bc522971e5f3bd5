"""Backends of a client: HTTP, and model objects of a framework."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from unified_llm import LLMClient
from unified_llm._client.backends import Backends
from unified_llm._core import runtime
from unified_llm._core.exchange import Event
from unified_llm._core.features import CHAT, Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.types import LLMChunk, LLMRequest, LLMResponse, Message

if TYPE_CHECKING:
    from unified_llm._backends.http.exchange_async import AsyncHTTPExchange
    from unified_llm._backends.http.exchange_sync import SyncHTTPExchange


class Chat:
    """A model object of a framework, which answers or fails."""

    number = 1
    provider = "framework"
    model = "chat"
    features: frozenset[Feature] = CHAT
    context_window = None

    def __init__(self, *, dead: bool = False) -> None:
        self.dead = dead
        self.asked = 0

    def exchange(self, request: LLMRequest) -> ChatExchange:
        return ChatExchange(self, request)

    def aexchange(self, request: LLMRequest) -> AsyncChatExchange:
        return AsyncChatExchange(self, request)


class ChatExchange:
    def __init__(self, chat: Chat, request: LLMRequest) -> None:
        self.chat = chat
        self.events: list[Event] = [Done(LLMResponse("Hello"))]
        if request.stream:
            self.events = [LLMChunk("Hello"), Done(LLMChunk(finish_reason="stop"))]

    def open(self, until: float) -> Failure | None:
        self.chat.asked += 1
        return Failure("connection") if self.chat.dead else None

    def read(self, until: float) -> Event:
        return self.events.pop(0)

    def close(self) -> None:
        pass


class AsyncChatExchange:
    def __init__(self, chat: Chat, request: LLMRequest) -> None:
        self.inner = ChatExchange(chat, request)

    async def open(self, until: float) -> Failure | None:
        await asyncio.sleep(0)
        return self.inner.open(until)

    async def read(self, until: float) -> Event:
        await asyncio.sleep(0)
        return self.inner.read(until)

    async def close(self) -> None:
        self.inner.close()


@each("way", WAYS)
@pytest.mark.case(63)
def test_a_request_that_can_be_written_for_no_target_is_the_callers_mistake(way: Way) -> None:
    def refuse(*_: object) -> NoReturn:
        raise ValidationError("temperature= has a value that JSON cannot represent.")

    with runtime.use(runtime.Runtime(exchange=refuse, aexchange=refuse)):
        result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]))
    assert result.error is ValidationError
    assert [attempt[:2] for attempt in result.attempts] == [(GPT, "skipped"), (HAIKU, "skipped")]
    assert result.message.splitlines() == [
        "The request can be sent to none of 2 targets:",
        f"  {GPT}: temperature= has a value that JSON cannot represent; fix the request.",
        f"  {HAIKU}: temperature= has a value that JSON cannot represent; fix the request.",
    ]


def chain(*links: Any) -> LLMClient:
    return LLMClient("ollama/llama2", fallbacks=links, max_retries=0)


@pytest.mark.parametrize("way", WAYS)
def test_a_model_of_a_framework_stands_in(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Chat(dead=True), Chat()
    client = chain(first, second)
    monkeypatch.setattr(client, "_chain", client._chain[1:])
    result = outcome_of(way, client)
    assert result.content == "Hello"
    assert result.metadata[-2:] == ("chat", "framework")
    outcomes = [attempt[:2] for attempt in result.attempts]
    assert outcomes == [("framework/chat", "connection")] * 2 + [("framework/chat", "ok")]
    assert (first.asked, second.asked) == (2, 1)


def test_a_call_cannot_name_another_model_where_a_frameworks_own_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    client = chain(Chat())
    monkeypatch.setattr(client, "_chain", client._chain[1:])
    with pytest.raises(ConfigurationError, match="wrapped model object"):
        client.generate("Hello?", model=GPT)


def test_what_is_no_target_is_refused_as_a_fallback() -> None:
    with pytest.raises(ConfigurationError, match="not int"):
        chain(7)


@pytest.mark.parametrize("wrong", [7, ["openai/gpt-4o"]])
def test_what_is_no_configuration_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="model string"):
        LLMClient(wrong)


async def test_closing_twice_or_before_any_call_is_no_mistake() -> None:
    client = LLMClient(GPT)
    client.close()
    await client.aclose()
    await client.aclose()


async def test_connections_are_made_once_and_closed_with_their_client() -> None:
    backends, request = Backends(), LLMRequest((Message.user("Hello?"),))
    backends.close()
    (target,) = LLMClient("ollama/llama2").targets
    first, second = (cast("AsyncHTTPExchange", backends.aexchange(request, target)) for _ in range(2))
    sync_exchange = cast("SyncHTTPExchange", backends.exchange(request, target))
    assert first._pool is second._pool
    idle_connections = (first._pool.idle_connections, sync_exchange._pool.idle_connections)
    assert [idle.closed for idle in idle_connections] == [False, False]
    await backends.aclose()
    assert [idle.closed for idle in idle_connections] == [True, True]
    backends.close()
