"""Keys that a callable returns, through the objects of the frameworks, whose dumps, traces and caches have none."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest
from langchain_core.load import dumps
from langchain_core.runnables import ConfigurableField
from langchain_core.tracers.base import BaseTracer
from llama_index.core.schema import NodeWithScore, TextNode

from tests.support.canary_checks import assert_no_canary, assert_no_canary_in_error
from tests.support.each import each
from tests.support.key_server import KeyServer
from tests.support.variables import traceback_leaks
from unified_llm import LLMClient
from unified_llm._core.key_callable import KeyCallable
from unified_llm.exceptions import ConfigurationError, LLMError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank

if TYPE_CHECKING:
    from langchain_core.tracers.schemas import Run

OLD: Final = "old-CANARY-0123456789"
NEW: Final = "new-CANARY-0123456789"
NODES: Final = [NodeWithScore(node=TextNode(text="a"), score=0.1)]


async def drained(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


async def acomplete_stream(llm: UnifiedLLM) -> list[Any]:
    return await drained(await llm.astream_complete("Hi"))


Way = tuple[type[Any], Callable[[Any], Any], bool]
WAYS: Final[dict[str, Way]] = {
    "invoke": (ChatUnified, lambda chat: chat.invoke("Hi"), False),
    "stream": (ChatUnified, lambda chat: list(chat.stream("Hi")), False),
    "ainvoke": (ChatUnified, lambda chat: asyncio.run(chat.ainvoke("Hi")), True),
    "astream": (ChatUnified, lambda chat: asyncio.run(drained(chat.astream("Hi"))), True),
    "embed_query": (UnifiedEmbeddings, lambda it: it.embed_query("Hi"), False),
    "aembed_documents": (UnifiedEmbeddings, lambda it: asyncio.run(it.aembed_documents(["Hi"])), True),
    "complete": (UnifiedLLM, lambda llm: llm.complete("Hi"), False),
    "stream_complete": (UnifiedLLM, lambda llm: list(llm.stream_complete("Hi")), False),
    "acomplete": (UnifiedLLM, lambda llm: asyncio.run(llm.acomplete("Hi")), True),
    "astream_complete": (UnifiedLLM, lambda llm: asyncio.run(acomplete_stream(llm)), True),
    "get_text_embedding": (UnifiedEmbedding, lambda it: it.get_text_embedding("Hi"), False),
    "aget_text_embedding": (UnifiedEmbedding, lambda it: asyncio.run(it.aget_text_embedding("Hi")), True),
    "postprocess_nodes": (UnifiedRerank, lambda it: it.postprocess_nodes(NODES, query_str="Hi"), False),
}


def make(kind: type[Any], key: Any) -> Any:
    model = "cohere/rerank-v3.5" if kind is UnifiedRerank else "vllm/m"
    return kind(model=model, base_url=KeyServer.url, api_key=key, max_retries=0)


@each("way", WAYS)
def test_every_call_of_a_framework_sends_the_next_key_after_a_401(way: str) -> None:
    kind, call, is_async = WAYS[way]
    with pytest.MonkeyPatch.context() as patch:
        server, keys = KeyServer(patch, NEW), iter([OLD, NEW])
        chain = make(kind, lambda: next(keys))
        call(chain)
        assert server.keys == [OLD, NEW]

        async def key() -> str:
            return NEW

        awaited = make(kind, key)
        if is_async:
            call(awaited)
        else:
            with pytest.raises(ConfigurationError, match="a sync call cannot await"):
                call(awaited)


class Recorder(BaseTracer):
    """Keeps all that LangChain tells of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def _persist_run(self, run: Run) -> None:
        self.seen.append((run.inputs, run.extra, run.serialized, run.error, run.outputs))


def test_a_trace_a_dump_and_a_cache_key_are_the_same_whatever_the_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    server, keys, recorder = KeyServer(monkeypatch, OLD), iter([OLD, NEW]), Recorder()
    chat = make(ChatUnified, lambda: next(keys))
    before, dumped = chat._get_llm_string(), dumps(chat)
    chat.invoke("Hi", {"callbacks": [recorder]})
    server.accepted = {NEW}
    chat.invoke("Hi", {"callbacks": [recorder]})
    assert (chat._get_llm_string(), dumps(chat)) == (before, dumped)
    assert server.keys == [OLD, OLD, NEW]
    for shown in (recorder.seen, before, dumped, chat.health(), chat):
        assert_no_canary(shown)
        assert "lambda" not in f"{shown}"


def test_a_callable_may_be_a_configurable_field(monkeypatch: pytest.MonkeyPatch) -> None:
    server = KeyServer(monkeypatch, NEW)
    chat = make(ChatUnified, OLD).configurable_fields(api_key=ConfigurableField("key"))
    chat.invoke("Hi", {"configurable": {"key": lambda: NEW}})
    assert server.keys == [NEW]


def returning(key: str) -> Callable[[], str]:
    return lambda: key


def test_a_callable_of_one_call_has_an_account_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    server, tenant, other = KeyServer(monkeypatch, OLD, NEW), returning(OLD), returning(NEW)
    chat = make(ChatUnified, tenant)
    chat.invoke("Hi", api_key=other)
    chat.client.generate("Hi", api_key=other)
    asyncio.run(chat.ainvoke("Hi", api_key=other))
    chat.invoke("Hi")
    assert server.keys == [NEW, NEW, NEW, OLD]
    cached = [
        chat._get_llm_string(**given)
        for given in ({}, {"api_key": KeyCallable(tenant)}, {"api_key": KeyCallable(other)})
    ]
    assert len(set(cached)) == 3
    assert_no_canary(cached)


def crash(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError


@each("way", ["invoke", "ainvoke", "stream", "complete", "postprocess_nodes"])
def test_no_traceback_shows_a_key_that_a_callable_returned(way: str) -> None:
    kind, call, _ = WAYS[way]
    with pytest.MonkeyPatch.context() as patch:
        KeyServer(patch)
        with pytest.raises(LLMError, match="the API key was refused") as refused:
            call(make(kind, lambda: NEW))
        assert_no_canary_in_error(refused.value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.getaddrinfo", crash)
        with pytest.raises((ZeroDivisionError, LLMError)) as crashed:
            call(make(kind, lambda: NEW).model_copy(update={"base_url": "https://host.example"}))
        assert traceback_leaks(crashed.value) == []
        assert_no_canary("".join(traceback.format_exception(crashed.value)))


def test_what_can_be_reached_from_a_client_shows_no_kept_key(monkeypatch: pytest.MonkeyPatch) -> None:
    KeyServer(monkeypatch, NEW)
    client = LLMClient("vllm/m", base_url=KeyServer.url, api_key=lambda: NEW)
    client.generate("Hi")
    (target,) = client.targets
    assert target.key_callable is not None
    assert target.key_callable.kept.key is not None
    for shown in (client, target, target.key_callable, target.key_callable.kept, client.health()):
        assert_no_canary(shown)
