"""``ChatCompletion``, ``Completion`` and ``Embedding``: the calls of an OpenAI client, without making one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import unified_llm.openai_style
from tests.support.each import each
from tests.support.openai_server import OpenAIServer
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import ChatCompletion, Completion, Embedding, configure, exceptions
from unified_llm.openai_style import BadRequestError, _facade
from unified_llm.testing import outage

CLAUDE = "anthropic/claude-haiku-4-5"
MESSAGES = [{"role": "user", "content": "Hello?"}]
ANSWER = {
    "id": "1", "object": "chat.completion", "created": 7, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _forget_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_facade, "_client", _facade._SharedClient(_facade.make_client))
    monkeypatch.setattr(_facade, "_aclient", _facade._SharedClient(_facade.make_async_client))
    yield
    configure(temperature=None)


def test_a_conversation_is_answered_by_any_provider_with_failover() -> None:
    with outage("openai", "503", reply="Hi"):
        response = ChatCompletion.create("gpt-5-mini", MESSAGES, fallbacks=[CLAUDE])
        chunks = [*ChatCompletion.create(model="gpt-5-mini", messages=MESSAGES, stream=True, fallbacks=[CLAUDE])]
    assert response.choices[0].message.content == response["choices"][0]["message"]["content"] == "Hi"
    assert response.unified_llm["served_by"] == CLAUDE
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hi"


def test_the_same_is_done_for_async_callers() -> None:
    async def call() -> tuple[Any, str, str, int]:
        response = await ChatCompletion.acreate(model="gpt-5-mini", messages=MESSAGES, fallbacks=[CLAUDE])
        stream = await ChatCompletion.acreate(model=CLAUDE, messages=MESSAGES, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        continued = await Completion.acreate(model=CLAUDE, prompt="Say.")
        pieces = [chunk async for chunk in await Completion.acreate(CLAUDE, "Say.", stream=True)]
        vectors = await Embedding.acreate(model="cohere/embed-v4.0", input=["a", "b"])
        assert "".join(chunk.choices[0].text for chunk in pieces) == continued.choices[0].text
        return response.choices[0].message.content, text, continued.choices[0].text, len(vectors.data)

    with outage("openai", "503", reply="Hi"):
        assert asyncio.run(call()) == ("Hi", "Hi", "Hi", 2)


def test_texts_and_vectors_are_made() -> None:
    with outage("openai", "503", reply="Once.", allow_unused=True):
        assert Completion.create(model=CLAUDE, prompt="Say.").choices[0].text == "Once."
        assert next(chunk.choices[0].text for chunk in Completion.create(CLAUDE, "Say.", stream=True))
        assert len(Embedding.create(model="cohere/embed-v4.0", input="a").data) == 1


def test_all_calls_share_a_client_until_settings_change(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    for _ in range(4):
        server.reply(ANSWER)

    def create() -> object:
        ChatCompletion.create(model="m", messages=MESSAGES)
        return _facade._client._client

    first = create()
    assert create() is first
    configure(temperature=0.5)
    assert create() is not first
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-another")
    create()
    received = server.received
    assert [request.body.get("temperature") for request in received] == [None, None, 0.5, 0.5]
    assert received[2].headers["authorization"] != received[3].headers["authorization"]
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9098")
    with pytest.raises(exceptions.ConnectionError, match="9098"):
        ChatCompletion.create(model="ollama/x", messages=MESSAGES, max_retries=0)


def test_a_prefix_names_the_provider_wherever_the_address_of_openai_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    served: list[str] = []
    for model in ("openai/m", "m", "org/m", "openai:m"):
        server.reply(ANSWER)
        served.append(ChatCompletion.create(model=model, messages=MESSAGES).unified_llm["served_by"])
    server.reply(ANSWER)
    ChatCompletion.create(model="groq/llama", messages=MESSAGES, base_url=server.url, api_key="sk-canary-own")
    assert served == ["openai/m", "openai-compatible/m", "openai-compatible/org/m", "openai/m"]
    assert [request.body["model"] for request in server.received] == ["m", "m", "org/m", "m", "llama"]


def test_the_module_is_no_client_and_says_so() -> None:
    with pytest.raises(AttributeError, match=r"OpenAI\(\)\.chat"):
        unified_llm.openai_style.chat  # noqa: B018 # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(unified_llm.openai_style, "images")


def test_threads_get_the_same_client() -> None:
    clients: list[object] = []
    barrier = threading.Barrier(8)

    def get() -> None:
        barrier.wait()
        clients.append(_facade._client.get({"model": "gpt-5-mini"}))

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, clients))) == 1


def test_a_missing_key_is_found_once_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(exceptions.UnconfiguredError, match="OPENAI_API_KEY"):
        ChatCompletion.create(model="gpt-5-mini", messages=MESSAGES)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-later")
    with outage(CLAUDE, "503", reply="Hi", allow_unused=True):
        assert ChatCompletion.create(model="gpt-5-mini", messages=MESSAGES).choices


@each(
    ("call", "message"),
    [
        (lambda: ChatCompletion.create(model="gpt-5-mini", messages=[]), "messages"),
        (lambda: Completion.create(model="gpt-3.5-turbo-instruct", prompt=[]), "the list is empty"),
        (lambda: Embedding.create(model="text-embedding-3-small", input=[]), "the list is empty"),
        (lambda: asyncio.run(Embedding.acreate(model="", input="a")), "model is missing"),
    ],
)
def test_what_cannot_be_a_request_is_refused_as_by_a_client(call: Any, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        call()


@each("stream", [False, True])
def test_a_cancelled_call_closes_its_exchange(stream: bool) -> None:  # noqa: FBT001
    async def cancel() -> None:
        task = asyncio.ensure_future(ChatCompletion.acreate(model=CLAUDE, messages=MESSAGES, stream=stream))
        while not targets.asked:  # noqa: ASYNC110 - each turn of the event loop is one of the call
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    targets = ScriptedTargets({CLAUDE: [say("Hello")]})
    with targets.running():
        asyncio.run(cancel())
    assert len(targets.asked) == 1
    assert targets.open == 0
