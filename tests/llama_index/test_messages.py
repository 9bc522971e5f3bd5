"""Histories of any model: every block, every format of a tool call, and the caller's objects unchanged."""

from __future__ import annotations

import base64
import io
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.base.llms.types import CacheControl as Control

from tests.support.counted_work import lines_of
from tests.support.each import each
from unified_llm.exceptions import ValidationError
from unified_llm.llama_index._messages import read_messages
from unified_llm.types import AudioPart, FilePart, ImagePart, Message, Part, ProviderState, TextPart
from unified_llm.types import content as ours

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200, 256))
PDF = b"%PDF-1.7 \xff\xfe"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \xff\xfe"


def user(*blocks: Any) -> ChatMessage:
    return ChatMessage(role="user", blocks=list(blocks))


def read(*blocks: Any) -> Any:
    return read_messages([user(*blocks)])[0].content


def parts(*blocks: Any) -> tuple[Part, ...]:
    content = read(*blocks)
    assert isinstance(content, tuple)
    return content


def test_every_role_is_known() -> None:
    roles = {role: read_messages([ChatMessage(role=role, content="x")])[0].role for role in MessageRole}
    assert roles == {
        MessageRole.SYSTEM: "system", MessageRole.DEVELOPER: "system", MessageRole.USER: "user",
        MessageRole.ASSISTANT: "assistant", MessageRole.CHATBOT: "assistant", MessageRole.MODEL: "assistant",
        MessageRole.TOOL: "tool", MessageRole.FUNCTION: "tool",
    }  # fmt: skip
    named = ChatMessage(role="user", content="x", additional_kwargs={"name": "Ada"})
    assert read_messages([named])[0].name == "Ada"


def test_texts_are_joined_as_llama_index_joins_them() -> None:
    message = user(TextBlock(text="one"), TextBlock(text=""), TextBlock(text="two"))
    assert read_messages([message])[0].content == "one\ntwo"
    assert read_messages([ChatMessage(role="assistant")])[0].content == ""


def test_images_are_read_from_bytes_files_streams_and_urls(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    stream = io.BytesIO(PNG)
    stream.seek(3)
    data = f"data:image/webp;base64,{base64.b64encode(PNG).decode()}"
    converted = parts(
        TextBlock(text="What is this?"),
        ImageBlock(image=PNG, detail="low"),
        ImageBlock(image=base64.b64encode(PNG), image_mimetype="image/gif"),
        ImageBlock(path=path),
        ImageBlock(image=stream),
        ImageBlock(url="https://example.org/cat.png", detail="high"),
        ImageBlock(url=data),
    )
    assert converted == (
        TextPart("What is this?"),
        ImagePart(data=PNG, detail="low"),
        ImagePart(data=PNG, media_type="image/gif"),
        ImagePart(data=PNG),
        ImagePart(data=PNG),
        ImagePart(url="https://example.org/cat.png", detail="high"),
        ImagePart(data=PNG, media_type="image/webp"),
    )
    assert stream.tell() == 3, "it belongs to the caller"


def test_sounds_documents_and_videos_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    url = f"data:audio/wav;base64,{base64.b64encode(WAV).decode()}"
    converted = parts(
        AudioBlock(audio=WAV),
        AudioBlock(audio=WAV, format="mp3"),
        AudioBlock(url=url),
        DocumentBlock(data=PDF, title="Report"),
        DocumentBlock(data=PDF, document_mimetype="application/msword"),
        DocumentBlock(path=path),
        DocumentBlock(url="https://example.org/a.pdf"),
        DocumentBlock(data=b"Some words.", title="notes.txt"),
        DocumentBlock(data=b"More words.", document_mimetype="text/markdown"),
        VideoBlock(video=b"\x00\x01\xff", video_mimetype="video/webm"),
        VideoBlock(url="https://example.org/a.mp4"),
    )
    assert converted == (
        AudioPart(WAV, "wav"),
        AudioPart(WAV, "mp3"),
        AudioPart(WAV, "wav"),
        FilePart(PDF, "application/pdf", "Report"),
        FilePart(PDF, "application/msword"),
        FilePart(PDF, "application/pdf", "report.pdf"),
        FilePart(None, "application/pdf", None, "https://example.org/a.pdf"),
        TextPart("notes.txt\n\nSome words."),
        TextPart("More words."),
        FilePart(b"\x00\x01\xff", "video/webm"),
        FilePart(None, "video/mp4", None, "https://example.org/a.mp4"),
    )


def test_marks_citations_and_citable_content_are_sent_on() -> None:
    quoted = CitationBlock(cited_content="quoted", source="s", title="t", additional_location_info={})
    converted = parts(
        CachePoint(cache_control=Control(type="ephemeral", ttl="1h")),
        CitableBlock(title="t", source="s", content="citable"),
        quoted,
    )
    assert converted == (ours.CachePoint("1h"), TextPart("citable"), TextPart("quoted"))
    answer = ChatMessage(role="assistant", blocks=[TextBlock(text="so"), quoted])
    assert read_messages([answer])[0].content == "so", "the text that rests on it is there"


@each(
    ("block", "pattern"),
    [
        (ImageBlock(), "'image' lacks its data"),
        (AudioBlock(url="https://example.org/a.wav"), "models do not fetch it"),
        (DocumentBlock(data=b"\x01\xff\xfe"), "set its document_mimetype"),
        (VideoBlock(), "'video' lacks its data"),
        (DocumentBlock(path="/no/such/secret-name.txt"), "No such file"),
    ],
)
def test_what_cannot_be_sent_is_an_error_and_names_no_path(block: Any, pattern: str) -> None:
    with pytest.raises(ValidationError, match=pattern) as caught:
        read(block)
    assert "secret" not in str(caught.value)


def test_a_block_of_a_kind_that_is_not_known_is_an_error_unless_a_model_wrote_it() -> None:
    class Dance(TextBlock.__base__):  # type: ignore[name-defined,misc]
        block_type: str = "dance"

    message = ChatMessage(role="user")
    message.blocks.append(Dance())
    with pytest.raises(ValidationError, match="'dance' cannot be sent"):
        read_messages([message])
    message.role = MessageRole.ASSISTANT
    assert read_messages([message])[0].content == ""


def test_reasoning_goes_along_and_provider_state_is_restored_only_if_it_is_ours() -> None:
    provider_state = ProviderState("anthropic", "anthropic", [{"signature": "abc"}])
    message = ChatMessage(
        role="assistant",
        blocks=[
            ThinkingBlock(content="hm", additional_information={"signature": "of another package"}),
            ThinkingBlock(additional_information={"provider_state": provider_state.as_dict()}),
            TextBlock(text="so"),
        ],
    )
    converted = read_messages([message])[0]
    assert (converted.reasoning, converted.provider_state, converted.content) == ("hm", provider_state, "so")
    other = ChatMessage(role="assistant", content="so", additional_kwargs={"reasoning_content": "hm"})
    assert read_messages([other])[0].reasoning == "hm"


OPENAI_CALL = SimpleNamespace(id="c1", type="function", function=SimpleNamespace(name="add", arguments='{"a":1}'))


def block(arguments: Any) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs=arguments)


@each(
    ("blocks", "extras", "identifier"),
    [
        ([block({"a": 1})], {}, "c1"),
        ([block('{"a":1}')], {}, "c1"),
        ([], {"tool_calls": [OPENAI_CALL]}, "c1"),
        ([], {"tool_calls": [{"id": "c1", "function": {"name": "add", "arguments": {"a": 1}}}]}, "c1"),
        ([], {"tool_calls": [{"id": "c1", "name": "add", "input": {"a": 1}}]}, "c1"),
        ([], {"tool_calls": [{"name": "add", "args": {"a": 1}}, {"name": None}]}, "call_0"),
        ([], {"function_call": {"name": "add", "arguments": '{"a":1}'}}, "call_0"),
        ([block({"a": 1})], {"tool_calls": [OPENAI_CALL]}, "c1"),
    ],
)
def test_a_call_is_read_once_however_it_was_written(blocks: Any, extras: dict[str, Any], identifier: str) -> None:
    message = ChatMessage(role="assistant", blocks=blocks, additional_kwargs=extras)
    (call,) = read_messages([message])[0].tool_calls
    assert (call.id, call.name, dict(call.arguments)) == (identifier, "add", {"a": 1})


def test_arguments_that_are_no_json_stay_what_the_model_wrote() -> None:
    message = ChatMessage(
        role="assistant",
        blocks=[ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs='{"a":')],
    )
    (call,) = read_messages([message])[0].tool_calls
    assert call.error is not None
    assert call.raw_arguments == '{"a":'
    odd = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [{"name": "add", "args": {"a": object()}}]})
    assert read_messages([odd])[0].tool_calls[0].arguments == {}


def result(identifier: str | None, text: str) -> ChatMessage:
    extras = {} if identifier is None else {"tool_call_id": identifier}
    return ChatMessage(role="tool", content=text, additional_kwargs=extras)


def calls(*identifiers: str | None) -> ChatMessage:
    blocks = [ToolCallBlock(tool_call_id=identifier, tool_name="add", tool_kwargs={}) for identifier in identifiers]
    return ChatMessage(role="assistant", blocks=blocks)


@each(
    ("history", "pairs"),
    [
        ([calls("a", "b"), result("b", "2"), result("a", "1")], [("a", "1"), ("b", "2")]),
        ([calls("add", "add"), result("add", "1"), result("add", "2")], [("add_0", "1"), ("add_1", "2")]),
        ([calls(None, ""), result(None, "1"), result("", "2")], [("call_0", "1"), ("call_1", "2")]),
        ([calls("add", "add", "add_0"), result("add", "1")], [("add_3", "1"), ("add_1", None), ("add_0", None)]),
        ([calls("a"), result("a", "1"), calls("a"), result("a", "2")], [("a", "1"), ("a", "2")]),
    ],
)
def test_results_stay_with_their_calls(history: list[ChatMessage], pairs: list[tuple[str, str | None]]) -> None:
    read: tuple[Message, ...] = read_messages(history)
    given = [call.id for message in read for call in message.tool_calls]
    answers = {(message.tool_call_id, message.text) for message in read if message.role == "tool"}
    assert given == [identifier for identifier, _ in pairs]
    assert answers == {(identifier, text) for identifier, text in pairs if text is not None}


def test_a_result_that_answers_nothing_is_left_as_it_is() -> None:
    assert read_messages([result("x", "1")])[0].tool_call_id == "x"


def test_reading_changes_nothing() -> None:
    history = [user(TextBlock(text="Hi"), ImageBlock(image=PNG)), calls("add", "add"), result("add", "1")]
    before = [message.model_dump() for message in history]
    read_messages(history)
    assert [message.model_dump() for message in history] == before


def test_many_calls_with_one_id_and_their_results_are_read_in_linear_time() -> None:
    def read_history(count: int) -> None:
        calls = [ToolCallBlock(tool_call_id="same", tool_name="f", tool_kwargs="{}")] * count
        results = [ChatMessage(role="tool", content="x", additional_kwargs={"tool_call_id": "same"})] * count
        history = read_messages([ChatMessage(role="assistant", blocks=calls), *results])
        identifiers = [call.id for call in history[0].tool_calls]
        assert [message.tool_call_id for message in history[1:]] == identifiers
        assert len(set(identifiers)) == count

    assert lines_of(partial(read_history, 300)) < 2.2 * lines_of(partial(read_history, 150))
