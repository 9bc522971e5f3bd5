"""What is stored at a provider, for async callers as for sync ones, and the forms in which bytes of it are read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from tests.support.openai_server import OpenAIServer
from tests.support.sent_requests import SentRequests
from unified_llm._core.outcome import Done
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.openai_style import AsyncOpenAI, OpenAI
from unified_llm.openai_style._binary_content import BinaryContent
from unified_llm.types.raw import RawChunk, RawResponse

KEY = "sk-test-0123456789"
MESSAGES = [
    {"type": "message", "role": "user", "id": "msg_1", "content": [{"type": "input_text", "text": "Hi"}]},
    {"type": "message", "role": "assistant", "id": "msg_2", "content": []},
]


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def answering(*bodies: Any) -> SentRequests:
    """Targets that answer with these bodies in turn, and then with the last of them."""
    left = [*bodies]

    def answer(request: Any, target: Target) -> list[Any]:
        body = left.pop(0) if len(left) > 1 else left[0]
        return [codec_for(target.format).decode(request, target, body)]

    return SentRequests(answers=answer)


def awaited(call: Callable[[AsyncOpenAI], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await call(AsyncOpenAI())

    return asyncio.run(run())


STORED: list[tuple[str, Any, Callable[[Any], Any]]] = [
    ("/chat/completions/c-1", {"metadata": {"a": "b"}}, lambda c: c.chat.completions.update(
        "c-1", metadata={"a": "b"}
    )),
    ("/chat/completions/c-1", None, lambda c: c.chat.completions.delete("c-1")),
    ("/chat/completions", None, lambda c: c.chat.completions.list()),
    ("/chat/completions/c-1/messages", None, lambda c: c.chat.completions.messages.list("c-1")),
    ("/responses/r-1/cancel", None, lambda c: c.responses.cancel("r-1")),
    ("/responses/r-1/input_items", None, lambda c: c.responses.input_items.list("r-1")),
    ("/batches", None, lambda c: c.batches.list()),
    ("/files", None, lambda c: c.files.list()),
]  # fmt: skip


@each(("path", "body", "call"), STORED)
def test_a_call_is_the_same_sync_and_async(path: str, body: Any, call: Callable[[Any], Any]) -> None:
    with answering({"object": "list", "id": "x", "data": [], "has_more": False}).running() as targets:
        result, later = call(OpenAI()), awaited(call)
    assert [(sent.url.partition("/v1")[2], sent.body) for sent in targets.sent] == [(path, body)] * 2
    assert result.to_dict() == later.to_dict()


def test_the_items_of_an_input_have_the_class_of_their_role() -> None:
    with answering({"object": "list", "data": MESSAGES, "has_more": False}).running():
        kinds = [type(item).__name__ for item in OpenAI().responses.input_items.list("r-1")]
    assert kinds == ["ResponseInputMessageItem", "ResponseOutputMessage"]


def test_a_deleted_response_is_gone_for_async_callers_too() -> None:
    with answering("").running() as targets:
        assert awaited(lambda c: c.responses.delete("r-1")) is None
    assert targets.sent[0].path == "/v1/responses/r-1"


def test_the_events_of_a_stored_response_are_streamed_to_async_callers() -> None:
    events = [RawChunk('{"type":"response.completed","sequence_number":4,"response":{"id":"r-1","output":[]}}')]

    async def read() -> list[str]:
        stream = await AsyncOpenAI().responses.retrieve("r-1", stream=True, starting_after=3)
        return [event.type async for event in stream]

    with SentRequests(answers=lambda _, __: [*events, Done(RawResponse())]).running() as targets:
        assert asyncio.run(read()) == ["response.completed"]
    assert targets.sent[0].url.endswith("/responses/r-1?starting_after=3&stream=true")


def test_an_identifier_that_is_none_is_refused() -> None:
    with SentRequests().running() as targets:
        for call in (OpenAI().responses.retrieve, OpenAI().files.retrieve, OpenAI().chat.completions.retrieve):
            with pytest.raises(ValidationError):
                call("")
    assert targets.sent == []


@each("asynchronous", [False, True])
def test_a_file_is_looked_at_until_it_is_processed_or_time_is_up(asynchronous: bool) -> None:  # noqa: FBT001 - a case
    uploaded, processed = ({"id": "file-1", "object": "file", "status": name} for name in ("uploaded", "processed"))

    def wait(**options: Any) -> Any:
        if asynchronous:
            return awaited(lambda c: c.files.wait_for_processing("file-1", **options))
        return OpenAI().files.wait_for_processing("file-1", **options)

    with answering(uploaded, uploaded, processed).running() as targets:
        assert wait().status == "processed"
    assert len(targets.sent) == 3
    with answering(uploaded).running() as targets, pytest.raises(RuntimeError, match="not processed within 12 seconds"):
        wait(poll_interval=5.0, max_wait_seconds=12)
    assert len(targets.sent) == 4


def test_bytes_are_read_by_async_callers_as_by_others(tmp_path: Path) -> None:
    content = BinaryContent(b'{"a":\n1}')

    async def read() -> list[Any]:
        await content.astream_to_file(tmp_path / "a")
        await content.aclose()
        return [
            await content.aread(),
            [part async for part in content.aiter_bytes(3)],
            [part async for part in content.aiter_text(3)],
            [line async for line in content.aiter_lines()],
        ]

    whole, parts, texts, lines = asyncio.run(read())
    assert whole == content.read() == (tmp_path / "a").read_bytes()
    assert parts == [*content.iter_bytes(3)] == [b'{"a', b'":\n', b"1}"]
    assert texts == [*content.iter_text(3)] == ['{"a', '":\n', "1}"]
    assert lines == [*content.iter_lines()] == ['{"a":', "1}"]
    assert [*content.iter_text()] == [content.text]
    empty = BinaryContent(b"")
    assert not [*empty.iter_text()]
    assert not [*empty.iter_bytes()]
    assert content.json(parse_int=str) == {"a": "1"}
    assert repr(content) == "BinaryContent(8 bytes)"
    content.close()


def test_a_model_is_described_to_async_callers_and_deleted_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    server.reply({"object": "list", "data": [{"id": "gpt-5-mini", "created": 7, "owned_by": "openai"}]})
    described = asyncio.run(AsyncOpenAI(base_url=server.url).models.retrieve("gpt-5-mini"))
    assert described.to_dict() == {"id": "gpt-5-mini", "object": "model", "created": 7, "owned_by": "openai"}
    with pytest.raises(UnsupportedOperationError, match=r"openai.*models\.delete"):
        asyncio.run(AsyncOpenAI().models.delete("ft:mine"))
