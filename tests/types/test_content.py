from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.support.each import each
from unified_llm.exceptions import ValidationError
from unified_llm.types import AudioPart, CachePoint, FilePart, ImagePart, TextPart
from unified_llm.types.content import data_url, parse_content, split_data_url

PNG = b"\x89PNG\r\n\x1a\nCANARY"
JPEG = b"\xff\xd8\xff\xe0rest"
GIF = b"GIF89a..."
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@each(
    ("part", "read"),
    [
        ("words", TextPart("words")),
        ({"type": "text", "text": "words"}, TextPart("words")),
        ({"type": "image_url", "image_url": {"url": "https://e.org/a.png"}}, ImagePart(url="https://e.org/a.png")),
        ({"type": "image_url", "image_url": "https://e.org/a.png"}, ImagePart(url="https://e.org/a.png")),
        (
            {"type": "image_url", "image_url": {"url": data_url(JPEG, "image/jpeg"), "detail": "low"}},
            ImagePart(data=JPEG, media_type="image/jpeg", detail="low"),
        ),
        ({"type": "image_url", "image_url": "data:;base64," + encoded(PNG)}, ImagePart(data=PNG)),
        (
            {"type": "image_url", "image_url": "data:;base64," + encoded(JPEG)},
            ImagePart(data=JPEG, media_type="image/jpeg"),
        ),
        ({"type": "input_audio", "input_audio": {"data": encoded(b"snd"), "format": "mp3"}}, AudioPart(b"snd", "mp3")),
        ({"type": "input_audio", "input_audio": {"data": encoded(b"snd")}}, AudioPart(b"snd", "wav")),
        ({"type": "file", "file": {"file_id": "f-1", "filename": "a.pdf"}}, FilePart(file_id="f-1", filename="a.pdf")),
        (
            {"type": "file", "file": {"file_data": data_url(b"%PDF", "application/pdf"), "filename": "a.pdf"}},
            FilePart(b"%PDF", "application/pdf", "a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": encoded(b"%PDF")}}, FilePart(b"%PDF")),
        (
            {"type": "file", "file": {"file_data": "https://e.org/a.pdf?x=1"}},
            FilePart(None, "application/pdf", "a.pdf", "https://e.org/a.pdf?x=1"),
        ),
        (ImagePart(data=PNG), ImagePart(data=PNG)),
    ],
)
def test_a_content_part_is_read(part: Any, read: Any) -> None:
    assert parse_content([part]) == (read,)


def test_a_mark_for_the_cache_comes_after_its_part() -> None:
    def marked(mark: Any) -> Any:
        return parse_content([{"type": "text", "text": "a", "cache_control": mark}, "b"])

    assert marked({"type": "ephemeral"}) == (TextPart("a"), CachePoint(), TextPart("b"))
    assert marked({"type": "ephemeral", "ttl": "1h"}) == (TextPart("a"), CachePoint("1h"), TextPart("b"))
    assert marked(None) == marked("x") == (TextPart("a"), TextPart("b"))


def test_content_that_is_text_stays_text() -> None:
    assert parse_content("words") == "words"
    assert parse_content([]) == ()


@each(
    "content",
    [
        5,
        None,
        {"type": "text", "text": "CANARY"},
        [None],
        [{"text": "CANARY"}],
        [{"type": "video", "video": "CANARY"}],
        [{"type": ["text"]}],
        [{"type": "text"}],
        [{"type": "text", "text": None}],
        [{"type": "text", "text": {"CANARY": 1}}],
        [{"type": "image_url"}],
        [{"type": "image_url", "image_url": None}],
        [{"type": "image_url", "image_url": {"url": 5}}],
        [{"type": "image_url", "image_url": {}}],
        [{"type": "image_url", "image_url": "data:image/png;base64,CANARY!"}],
        [{"type": "image_url", "image_url": "data:image/png;base64,“CANARY”"}],
        [{"type": "input_audio", "input_audio": {"data": "CANARY!"}}],
        [{"type": "input_audio", "input_audio": {"data": None}}],
        [{"type": "image_url", "image_url": "/etc/CANARY"}],
        [{"type": "image_url", "image_url": {"url": "C:\\CANARY.png"}}],
        [{"type": "file", "file": "CANARY"}],
        [{"type": "file", "file": {}}],
        [{"type": "file", "file": {"file_data": "CANARY!"}}],
    ],
)
def test_content_that_cannot_be_read_is_refused_without_being_repeated(content: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        parse_content(content)
    assert "CANARY" not in str(refused.value)
    assert str(refused.value).endswith(".")


def test_a_data_url_holds_bytes_and_their_type() -> None:
    assert split_data_url(data_url(b"\x00\xff", "x/y")) == (b"\x00\xff", "x/y")
    assert split_data_url("data:x/y;charset=utf-8;base64," + encoded(b"a")) == (b"a", "x/y")
    assert split_data_url("DATA:X/Y;Base64," + encoded(b"\xfb\xff").replace("+", "%2B")) == (b"\xfb\xff", "x/y")
    assert split_data_url("data:text/plain,a%20b") == (b"a b", "text/plain")
    assert split_data_url(encoded(b"a")) == (b"a", None)


@each(
    "part",
    [
        TextPart("CANARY"),
        ImagePart(url="CANARY"),
        ImagePart(data=b"CANARY"),
        AudioPart(b"CANARY"),
        FilePart(b"CANARY", filename="CANARY", url="CANARY"),
    ],
)
def test_content_is_in_no_repr(part: Any) -> None:
    assert "CANARY" not in repr(part)
