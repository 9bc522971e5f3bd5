from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from unified_llm.exceptions import ValidationError
from unified_llm.types import AudioPart, CachePoint, FilePart, ImagePart, TextPart
from unified_llm.types.content import data_url, image_part, image_parts, parse_content, split_data_url

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
        ({"type": "input_audio", "input_audio": {"data": encoded(b"snd"), "format": "mp3"}}, AudioPart(b"snd", "mp3")),
        ({"type": "input_audio", "input_audio": {"data": encoded(b"snd")}}, AudioPart(b"snd", "wav")),
        ({"type": "file", "file": {"file_id": "f-1", "filename": "a.pdf"}}, FilePart(file_id="f-1", filename="a.pdf")),
        (
            {"type": "file", "file": {"file_data": data_url(b"%PDF", "application/pdf"), "filename": "a.pdf"}},
            FilePart(b"%PDF", "application/pdf", "a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": encoded(b"%PDF")}}, FilePart(b"%PDF")),
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


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")],
)
def test_the_first_bytes_tell_the_type_of_an_image(tmp_path: Path, data: bytes, media_type: str) -> None:
    assert image_part(data) == ImagePart(data=data, media_type=media_type)
    misnamed = tmp_path / "photo.bmp"
    misnamed.write_bytes(data)
    assert image_part(misnamed) == ImagePart(data=data, media_type=media_type)
    assert image_part(str(misnamed)) == image_part(misnamed)


def test_an_image_of_another_type_goes_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "drawing.svg"
    path.write_bytes(b"<svg/>")
    assert image_part(path) == ImagePart(data=b"<svg/>", media_type="image/svg+xml")


@pytest.mark.parametrize("name", ["notes.txt", "CANARY"])
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"CANARY")
    with pytest.raises(ValidationError, match="neither PNG, JPEG, GIF nor WebP") as refused:
        image_part(path)
    assert "CANARY" not in str(refused.value)


def test_an_image_may_be_a_url() -> None:
    assert image_part("https://e.org/a.png") == ImagePart(url="https://e.org/a.png")
    assert image_part(data_url(GIF, "image/gif")) == ImagePart(data=GIF, media_type="image/gif")


@each(
    ("image", "message"),
    [
        ("no/such/file.png", r"The image 'no/such/file\.png' cannot be read \(No such file"),
        (Path("no/such/file.png"), r"The image .*file\.png' cannot be read \(No such file"),
        ("www.example.com/cat.png", r"'www\.example\.com/cat\.png' .* or an http\(s\):// or data: URL"),
        ("ftp://e.org/cat.png", r"'ftp://e\.org/cat\.png' cannot be read"),
        (".", r"The image '\.' cannot be read .*directory"),
        ("", "directory"),
        ("iVBORw0KCANARY" * 400, "^An image cannot be read .*too long"),
        ("iVBORw0KCANARY" * 9, r"^An image cannot be read \(No such file"),
        ("CANARY\x00", "no path"),
        (bytearray(PNG), "no path"),
        (None, "no path"),
        ({"CANARY": 1}, "no path"),
        (b"CANARY", "neither PNG, JPEG, GIF nor WebP"),
        (b"", "neither PNG, JPEG, GIF nor WebP"),
    ],
)
def test_an_image_that_cannot_be_read_is_refused_with_its_path(image: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as refused:
        image_part(image)
    assert "CANARY" not in str(refused.value)
    assert isinstance(image, bytes) or "pass a path, bytes" in str(refused.value)


def test_an_image_of_pillow_is_sent_as_png(monkeypatch: pytest.MonkeyPatch) -> None:
    class Picture:
        def save(self, file: Any, format: str) -> None:  # noqa: A002 - Pillow's own name
            assert format == "PNG"
            file.write(PNG)

    monkeypatch.setattr(Picture, "__module__", "PIL.Image")
    assert image_part(Picture()) == ImagePart(data=PNG, media_type="image/png")  # type: ignore[arg-type]
    assert image_parts(Picture()) == (image_part(PNG),)  # type: ignore[arg-type]


def test_images_are_one_or_several(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    several: list[Any] = [str(path), path, PNG, image_part(PNG)]
    for one in several:
        assert image_parts(one) == image_parts([one]) == image_parts(iter([one])) == (image_part(PNG),)
    assert image_parts(None) == image_parts([]) == ()
    for wrong in (5, {"CANARY": 1}):
        with pytest.raises(ValidationError, match="images is a list of paths, URLs or bytes; got "):
            image_parts(wrong)  # type: ignore[arg-type]


def test_a_data_url_holds_bytes_and_their_type() -> None:
    assert split_data_url(data_url(b"\x00\xff", "x/y")) == (b"\x00\xff", "x/y")
    assert split_data_url("data:x/y;charset=utf-8;base64," + encoded(b"a")) == (b"a", "x/y")


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
