"""Files, batches, moderation and stored chat completions of a client in OpenAI's shape."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from tests.support.sent_requests import SentRequests
from unified_llm import exceptions
from unified_llm import openai_style as style
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm.openai_style import AsyncOpenAI, OpenAI
from unified_llm.openai_style._uploads import form_of, read_upload

KEY = "sk-test-0123456789"
FILE = {"id": "file-1", "object": "file", "status": "processed"}
BATCH = {"id": "batch_1", "object": "batch", "status": "validating"}
CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "choices": []}
RATED = {"id": "modr-1", "model": "omni", "results": [{"flagged": True, "categories": {"self-harm": True}}]}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def answering(body: Any, *failing: str) -> SentRequests:
    """Targets that answer every request with this body, or with the next of several."""
    bodies = iter(body) if isinstance(body, list) else None

    def answer(request: Any, target: Target) -> list[Any]:
        return [codec_for(target.format).decode(request, target, body if bodies is None else next(bodies))]

    return SentRequests(*failing, answers=answer)


CALLS: list[tuple[Callable[[Any], Any], str, Any, Any]] = [
    (lambda c: c.files.retrieve("file-1"), "/v1/files/file-1", None, FILE),
    (lambda c: c.files.retrieve("a/b?c"), "/v1/files/a%2Fb%3Fc", None, FILE),
    (lambda c: c.files.delete("file-1"), "/v1/files/file-1", None, {"id": "file-1", "deleted": True}),
    (lambda c: c.files.wait_for_processing("file-1"), "/v1/files/file-1", None, FILE),
    (lambda c: c.files.content("file-1"), "/v1/files/file-1/content", None, b"text"),
    (lambda c: c.files.retrieve_content("file-1"), "/v1/files/file-1/content", None, b"text"),
    (
        lambda c: c.batches.create(input_file_id="file-1", endpoint="/v1/responses", completion_window="24h"),
        "/v1/batches",
        {"input_file_id": "file-1", "endpoint": "/v1/responses", "completion_window": "24h"},
        BATCH,
    ),
    (lambda c: c.batches.retrieve("batch_1"), "/v1/batches/batch_1", None, BATCH),
    (lambda c: c.batches.cancel("batch_1"), "/v1/batches/batch_1/cancel", None, BATCH),
    (lambda c: c.moderations.create(input="x"), "/v1/moderations", {"input": "x"}, RATED),
    (lambda c: c.moderations.create(input=(t for t in "xy")), "/v1/moderations", {"input": ["x", "y"]}, RATED),
    (
        lambda c: c.moderations.create(input=["x"], model="omni-moderation-latest", extra_body={"later": None}),
        "/v1/moderations",
        {"input": ["x"], "model": "omni-moderation-latest", "later": None},
        RATED,
    ),
]


@each(("call", "path", "body", "answer"), CALLS)
def test_a_call_is_sent_as_by_the_sdk_sync_and_async(
    call: Callable[[Any], Any], path: str, body: Any, answer: Any
) -> None:
    with answering(answer).running() as targets:
        results = [call(OpenAI()), asyncio.run(call(AsyncOpenAI()))]
    assert [(sent.path, sent.body) for sent in targets.sent] == [(path, body)] * 2
    for result in results:
        if isinstance(answer, Mapping):
            assert result.to_dict() == answer
            assert result.unified_llm["served_by"].startswith("openai")
        elif not isinstance(result, str):
            assert (result.content, result.text, result.read()) == (answer, "text", answer)


def test_stored_chat_completions_are_read_changed_and_deleted() -> None:
    stored = OpenAI().chat.completions
    with answering(CHAT).running() as targets:
        assert stored.retrieve("chatcmpl-1").id == "chatcmpl-1"
        assert stored.update("chatcmpl-1", metadata={"of": "x"}).choices == []
        assert stored.delete("chatcmpl-1").id == "chatcmpl-1"
        assert asyncio.run(AsyncOpenAI().chat.completions.retrieve("chatcmpl-1")).id == "chatcmpl-1"
    assert {sent.path for sent in targets.sent} == {"/v1/chat/completions/chatcmpl-1"}
    assert [sent.body for sent in targets.sent] == [None, {"metadata": {"of": "x"}}, None, None]
    page = {"object": "list", "data": [{"id": "m-0", "role": "user", "content": "Hi"}], "has_more": False}
    with answering(page).running() as targets:
        assert [message.content for message in stored.messages.list("chatcmpl-1")] == ["Hi"]
    assert targets.sent[0].url.endswith("/chat/completions/chatcmpl-1/messages")


def page_of(*names: str, more: bool) -> Mapping[str, Any]:
    return {"object": "list", "data": [{**FILE, "id": name} for name in names], "has_more": more}


def test_a_list_is_read_page_by_page() -> None:
    pages = [page_of("a", "b", more=True), page_of("c", more=False)]
    with answering(pages * 2).running() as targets:
        assert [file.id for file in OpenAI().files.list(limit=2, purpose="batch")] == ["a", "b", "c"]

        async def names() -> list[str]:
            return [file.id async for file in AsyncOpenAI().files.list(limit=2)]

        assert asyncio.run(names()) == ["a", "b", "c"]
    queries = [sent.url.partition("?")[2] for sent in targets.sent]
    assert queries == ["limit=2&purpose=batch", "limit=2&purpose=batch&after=b", "limit=2", "limit=2&after=b"]
    with answering(pages).running():
        page = OpenAI().files.list()
        assert (page.has_next_page(), page.next_page_info()) == (True, {"params": {"after": "b"}})
        assert page.get_next_page().has_next_page() is False


def test_what_is_stored_in_one_account_is_asked_of_no_other() -> None:
    with answering(FILE, "openai").running() as targets, pytest.raises(style.InternalServerError) as caught:
        OpenAI(fallbacks=["anthropic/claude-haiku-4-5", "openai/gpt-5"], max_retries=0).files.retrieve("file-1")
    assert len(targets.sent) == 1
    assert "fallback" not in str(caught.value)


def test_moderation_fails_over_to_models_for_it_alone() -> None:
    client = OpenAI(fallbacks=["anthropic/claude-haiku-4-5", "openai/gpt-5", "openai/omni-moderation-latest"])
    failing = "openai/text-moderation-latest"
    with answering(RATED, failing).running() as targets:
        result = client.moderations.create(input="x", model="text-moderation-latest", max_retries=0)
    assert [sent.target for sent in targets.sent] == [failing, "openai/omni-moderation-latest"]
    assert targets.sent[1].body == {"input": "x", "model": "omni-moderation-latest"}
    assert result.unified_llm["used_fallback"] is True
    assert result.results[0].categories.self_harm is True


def test_a_provider_without_an_endpoint_is_refused_before_any_request() -> None:
    with answering(RATED).running() as targets:
        with pytest.raises(exceptions.UnsupportedOperationError, match="cannot rate texts for moderation"):
            OpenAI().moderations.create(input="x", model="anthropic/claude-haiku-4-5")
        with pytest.raises(style.BadRequestError, match="file_id must be the identifier"):
            OpenAI().files.retrieve("")
    assert targets.sent == []


def test_files_are_taken_in_the_forms_of_the_sdk(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"data")
    named = io.BytesIO(b"data")
    named.name = "folder/b.json"
    with path.open("rb") as opened:
        files = [b"data", path, opened, named, ("c.txt", b"data"), ("d", io.BytesIO(b"data"), "text/csv"), ("e", path)]
        read = [read_upload("file", file) for file in files]
    assert [file.data for file in read] == [b"data"] * len(files)
    assert [(file.filename, file.media_type) for file in read] == [
        ("upload", "application/octet-stream"), ("a.pdf", "application/pdf"), ("a.pdf", "application/pdf"),
        ("b.json", "application/json"), ("c.txt", "text/plain"), ("d", "text/csv"), ("e", "application/octet-stream"),
    ]  # fmt: skip
    form = form_of(
        {"image": [b"data", b"data"], "n": 2, "deep": {"a": True}, "no": None, "mask": {"id": "x"}}, ("image", "mask")
    )
    assert [name for name, _ in form] == ["image[]", "image[]", "n", "deep[a]", "mask[id]"]


def test_what_is_no_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    cases: list[tuple[Any, str]] = [
        ("a.pdf", "file must be bytes, a pathlib.Path"),
        (3, "not int"),
        (tmp_path, "file cannot be read: it is a directory"),
        (tmp_path / "nothing", "file cannot be read: No such file"),
        (io.StringIO("text"), "file must be bytes"),
        (("a.pdf",), "not tuple"),
    ]
    for file, words in cases:
        with pytest.raises(exceptions.ValidationError) as caught:
            read_upload("file", file)
        assert words in str(caught.value)


def test_an_upload_is_a_form_with_the_file() -> None:
    with answering(FILE).running() as targets:
        file = ("a.jsonl", b"{}", "application/jsonl")
        OpenAI().files.create(file=file, purpose="batch", expires_after={"anchor": "created_at", "seconds": 60})
    assert targets.sent[0].headers["content-type"].startswith("multipart/form-data; boundary=")
    body = targets.sent[0].body
    assert 'name="file"; filename="a.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n{}' in body
    assert 'name="expires_after[seconds]"\r\n\r\n60' in body


def test_bytes_of_a_response_are_read_in_parts_and_written(tmp_path: Path) -> None:
    with answering(b"line 1\nline 2").running():
        content = OpenAI().files.content("file-1")
    assert [*content.iter_bytes(4)] == [b"line", b" 1\nl", b"ine ", b"2"]
    assert ([*content.iter_lines()], [*content.iter_text()]) == (["line 1", "line 2"], ["line 1\nline 2"])
    content.write_to_file(tmp_path / "a")
    asyncio.run(content.astream_to_file(tmp_path / "b"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == content.content
    assert "line" not in repr(content)
