"""Content blocks of every author, read as parts."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.support.each import each
from unified_llm.exceptions import ValidationError
from unified_llm.langchain._messages import read_content
from unified_llm.types import AudioPart, CachePoint, FilePart, ImagePart, Part, TextPart

DATA = b"\x89PNG some bytes"
B64 = base64.b64encode(DATA).decode()
PNG = ImagePart(data=DATA, media_type="image/png")
PDF = FilePart(DATA, "application/pdf")


@each(
    ("block", "part"),
    [
        ("Hello", TextPart("Hello")),
        ({"type": "text", "text": "Hello", "cache_control": None}, TextPart("Hello")),
        ({"text": "no type, as Bedrock writes it"}, TextPart("no type, as Bedrock writes it")),
        ({"type": "refusal", "refusal": "No."}, TextPart("No.")),
        ({"type": "text-plain", "text": "plain", "mime_type": "text/plain"}, TextPart("plain")),
        ({"type": "text-plain", "base64": base64.b64encode(b"plain").decode()}, TextPart("plain")),
        ({"type": "image", "base64": B64, "mime_type": "image/png"}, PNG),
        ({"type": "image", "url": "https://e.example/a.png"}, ImagePart(url="https://e.example/a.png")),
        ({"type": "image", "url": f"data:image/png;base64,{B64}"}, PNG),
        ({"type": "image", "file_id": "f-1"}, FilePart(media_type="image/png", file_id="f-1")),
        ({"type": "image", "source_type": "base64", "data": B64, "mime_type": "image/png"}, PNG),
        ({"type": "image", "source_type": "url", "url": "https://e.example/a"}, ImagePart(url="https://e.example/a")),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}}, PNG),
        (
            {"type": "image", "source": {"type": "url", "url": "https://e.example/a"}},
            ImagePart(url="https://e.example/a"),
        ),
        ({"type": "image_url", "image_url": f"data:image/png;base64,{B64}"}, PNG),
        (
            {"type": "image_url", "image_url": {"url": "https://e.example/a", "detail": "low"}},
            ImagePart(url="https://e.example/a", detail="low"),
        ),
        ({"type": "audio", "base64": B64, "mime_type": "audio/mpeg"}, AudioPart(DATA, "mp3")),
        ({"type": "audio", "source_type": "base64", "data": B64, "mime_type": "audio/flac"}, AudioPart(DATA, "flac")),
        ({"type": "input_audio", "input_audio": {"data": B64, "format": "mp3"}}, AudioPart(DATA, "mp3")),
        ({"type": "file", "base64": B64, "mime_type": "application/pdf"}, PDF),
        ({"type": "file", "base64": B64, "extras": {"filename": "a.pdf"}}, FilePart(DATA, filename="a.pdf")),
        ({"type": "file", "url": "https://e.example/a.pdf"}, FilePart(url="https://e.example/a.pdf")),
        ({"type": "file", "file_id": "f-1"}, FilePart(file_id="f-1")),
        ({"type": "file", "source_type": "id", "id": "f-1"}, FilePart(file_id="f-1")),
        ({"type": "file", "source_type": "text", "text": "in a file"}, TextPart("in a file")),
        ({"type": "file", "source_type": "text", "data": "in a file"}, TextPart("in a file")),
        ({"type": "file", "file": {"file_id": "f-1", "filename": "a.pdf"}}, FilePart(filename="a.pdf", file_id="f-1")),
        ({"type": "file", "file": {"file_data": f"data:application/pdf;base64,{B64}"}}, PDF),
        ({"type": "document", "source": {"type": "text", "data": "a text"}}, TextPart("a text")),
        (
            {"type": "document", "source": {"type": "text", "data": "a text"}, "citations": {"enabled": True}},
            FilePart(b"a text", "text/plain", cite=True),
        ),
        (
            {"type": "document", "source": {"type": "base64", "data": B64}, "citations": {"enabled": True}},
            FilePart(DATA, cite=True),
        ),
        (
            {"type": "document", "title": "a.pdf", "source": {"type": "base64", "data": B64}},
            FilePart(DATA, filename="a.pdf"),
        ),
        ({"type": "video", "base64": B64, "mime_type": "video/webm"}, FilePart(DATA, "video/webm")),
        ({"type": "non_standard", "value": {"type": "text", "text": "wrapped"}}, TextPart("wrapped")),
    ],
)
def test_a_block_of_every_author_is_read(block: Any, part: Part) -> None:
    assert read_content([block]).parts == [part]


@each(
    "block",
    [
        {"type": "image"},
        {"type": "image_url"},
        {"type": "input_audio", "input_audio": {}},
        {"type": "file"},
        {"type": "tool_use", "id": "1"},
        {"type": "non_standard"},
        {"type": "image", "base64": "not base64!"},
        {"type": "audio", "url": "https://e.example/a.wav"},
    ],
)
def test_a_block_without_its_data_is_refused(block: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_content([block])


def test_what_a_user_sent_and_cannot_be_sent_on_is_an_error_that_names_what_can() -> None:
    with pytest.raises(ValidationError, match=r"'guard_content'.*audio, cachePoint, document, file, image"):
        read_content([{"type": "guard_content", "text": "x"}])
    with pytest.raises(ValidationError, match="'guardContent'"):
        read_content([{"guardContent": {"text": {"text": "x"}}}])


@each(
    "block",
    [
        {"type": "server_tool_call", "id": "1", "name": "web_search", "args": {}},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "non_standard", "value": {"type": "compaction"}},
        {"type": "tool_result", "tool_use_id": "1", "content": "x"},
    ],
)
def test_what_only_its_author_can_read_is_left_out_of_an_answer_in_the_history(block: dict[str, Any]) -> None:
    content = read_content([block, {"type": "text", "text": "so"}], assistant=True)
    assert (content.flatten(), content.tool_calls, content.tool_results) == ("so", [], [])


@each(
    ("block", "reasoning"),
    [
        ({"type": "thinking", "thinking": "Hm.", "signature": "xyz"}, "Hm."),
        ({"type": "reasoning", "reasoning": "Hm."}, "Hm."),
        ({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}, "Hm."),
        ({"type": "reasoning", "id": "rs_1", "summary": []}, ""),
    ],
)
def test_reasoning_is_read_without_its_signature(block: dict[str, Any], reasoning: str) -> None:
    assert "".join(read_content([block], assistant=True).reasoning) == reasoning


def test_empty_texts_are_left_out() -> None:
    assert read_content(["", {"type": "text", "text": ""}]).flatten() == ""


def test_texts_of_one_answer_are_joined_and_those_of_a_user_stay_apart() -> None:
    two: list[Any] = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert read_content(two).flatten(join=True) == "ab"
    assert read_content(two).flatten() == (TextPart("a"), TextPart("b"))


@each(
    ("mark", "point"),
    [
        ({"cache_control": {"type": "ephemeral"}}, CachePoint()),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, CachePoint("1h")),
        ({"extras": {"cache_control": {"type": "ephemeral"}}}, CachePoint()),
    ],
)
def test_a_mark_for_the_cache_stands_after_what_may_be_cached(mark: dict[str, Any], point: CachePoint) -> None:
    blocks: list[Any] = [{"type": "text", "text": "a", **mark}, {"type": "image", "base64": B64, **mark}, "b"]
    image = ImagePart(data=DATA, media_type="image/png")
    assert read_content(blocks).flatten() == (TextPart("a"), point, image, point, TextPart("b"))


# langchain case 18
def test_bedrocks_mark_for_the_cache_is_a_cache_point() -> None:
    five, hour = CachePoint(), CachePoint("1h")
    for mark, point in (
        ({"cachePoint": {"type": "default"}}, five),
        ({"cachePoint": {"type": "default", "ttl": "1h"}}, hour),
        ({"type": "cachePoint"}, five),
        ({"type": "cachePoint", "cachePoint": {"type": "default", "ttl": "1h"}}, hour),
        ({"type": "non_standard", "value": {"cachePoint": {"type": "default"}}}, five),
    ):
        for assistant in (False, True):
            content = read_content(["a", mark, "b"], assistant=assistant)
            assert content.flatten() == (TextPart("a"), point, TextPart("b")), mark


def test_a_mark_on_an_empty_text_belongs_to_what_stands_before() -> None:
    blocks: list[Any] = ["a", {"type": "text", "text": "", "cache_control": {"type": "ephemeral"}}]
    assert read_content(blocks).flatten() == (TextPart("a"), CachePoint())
