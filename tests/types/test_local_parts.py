"""What ``Message.user`` makes of paths, bytes, URLs and open files, and that nothing else reads a file."""

from __future__ import annotations

import base64
import io
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from tests.support.each import each
from unified_llm._lib import local_files
from unified_llm.exceptions import ValidationError
from unified_llm.types import AudioPart, FilePart, ImagePart, Message, Part, TextPart
from unified_llm.types.content import data_url
from unified_llm.types.local_parts import image_part

PNG = b"\x89PNG\r\n\x1a\nCANARY"
JPEG = b"\xff\xd8\xff\xe0rest"
GIF = b"GIF89a..."
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "
PDF = b"%PDF-1.7 rest"
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt "
MP3 = b"ID3\x04rest"
MP4 = b"\x00\x00\x00\x20ftypisom"
DOCX = b"PK\x03\x04\xff\xfe rest"


def parts_of(**arguments: Any) -> tuple[Part, ...]:
    """Return the parts of a message besides its text."""
    content = Message.user("x", **arguments).content
    assert not isinstance(content, str)
    assert content[0] == TextPart("x")
    return content[1:]


def refusal(**arguments: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        Message.user("x", **arguments)
    assert "CANARY" not in str(refused.value)
    return str(refused.value)


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


@each(
    ("data", "media_type"),
    [
        (b"II*\0" + bytes(8), "image/tiff"),
        (b"MM\0*" + bytes(8), "image/tiff"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "image/bmp"),
        (b"BM" + bytes(12) + b"\x7c\0\0\0", "image/bmp"),
    ],
)
def test_so_they_do_for_the_formats_of_scanners(data: bytes, media_type: str) -> None:
    assert image_part(data) == image_part(BytesIO(data)) == ImagePart(data=data, media_type=media_type)
    assert "neither" in refusal(images=[b"BMW and BMX are no bitmaps"])


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
        (5, "no path"),
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
    assert Message.user("x", images=Picture()) == Message.user("x", images=PNG)  # type: ignore[arg-type]


@each("argument, data, part", [
    ("images", PNG, ImagePart(data=PNG, media_type="image/png")),
    ("audio", WAV, AudioPart(WAV, "wav")),
    ("files", PDF, FilePart(PDF, "application/pdf", "a.bin")),
])  # fmt: skip
def test_a_part_is_given_in_every_form_alone_or_in_a_list(argument: str, data: bytes, part: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.bin"
        path.write_bytes(data)
        unnamed = FilePart(PDF) if argument == "files" else part
        url = data_url(data, {"images": "image/png", "audio": "audio/wav", "files": "application/pdf"}[argument])
        with path.open("rb") as opened, path.open("rb", buffering=0) as unbuffered:
            forms: list[tuple[Any, Any]] = [
                (str(path), part), (path, part), (opened, part), (unbuffered, part), (part, part),
                (data, unnamed), (bytearray(data), unnamed), (io.BytesIO(data), unnamed), (url, unnamed),
                ("DATA:" + url[5:], unnamed),
            ]  # fmt: skip
            for form, read in forms:
                assert parts_of(**{argument: form}) == (read,), form
                assert parts_of(**{argument: [form]}) == parts_of(**{argument: iter([form])}) == (read,), form
            assert parts_of(**{argument: [data, path]}) == (unnamed, part)
    nothing: list[Any] = [None, [], ()]
    for none in nothing:
        assert Message.user("x", **{argument: none}) == Message.user("x")
    for wrong in (5, {"CANARY": 1}):
        assert refusal(**{argument: wrong}).startswith(f"{argument} is a list of paths, URLs or bytes; got ")


def test_the_content_is_a_text() -> None:
    wrong: list[Any] = [["x"], [TextPart("x")], 5, b"x", None, {"CANARY": 1}]
    for content in wrong:
        with pytest.raises(ValidationError, match="images, recordings and files are arguments of it"):
            Message.user(content, images=PNG)


def test_parts_follow_the_text_in_the_order_of_the_arguments() -> None:
    message = Message.user("x", files=[PDF], audio=[WAV], images=[PNG])
    assert message.content == (TextPart("x"), image_part(PNG), AudioPart(WAV), FilePart(PDF))
    assert Message.user("", images=PNG).content == (image_part(PNG),), "some providers refuse an empty text"


@each(("data", "format"), [
    (WAV, "wav"), (MP3, "mp3"), (b"\xff\xfb\x90\x64", "mp3"), (b"\xff\xf3\x40\xc0", "mp3"), (b"fLaC\x00", "flac"),
    (b"OggS\x00", "ogg"), (b"\x00\x00\x00\x20ftypM4A ", "m4a"), (MP4, "mp4"), (b"\x1a\x45\xdf\xa3\x9f", "webm"),
    (b"\xff\xf1\x50\x80", "aac"), (b"FORM\x00\x00\x00\x00AIFF", "aiff"),
])  # fmt: skip
def test_the_first_bytes_tell_the_format_of_a_recording(data: bytes, format: str) -> None:  # noqa: A002
    file: Any = io.BytesIO(data)
    file.name = "misnamed.wma"
    assert parts_of(audio=[data, file]) == (AudioPart(data, format), AudioPart(data, format))


@each(("name", "data", "format"), [
    ("a.mp3", b"no tag", "mp3"), ("a.M4A", MP4, "m4a"), ("a.webm", b"\x1a\x45\xdf\xa3", "webm"), ("a.oga", b"?", "ogg"),
    ("a.opus", b"?", "opus"), ("a.aif", b"?", "aiff"), ("data:audio/mpeg;base64,", b"?", "mp3"),
    ("data:audio/x-wav;base64,", b"?", "wav"),
])  # fmt: skip
def test_a_recording_of_unknown_bytes_goes_by_its_name_or_media_type(name: str, data: bytes, format: str) -> None:  # noqa: A002
    source: Any = io.BytesIO(data)
    source.name = name
    if name.startswith("data:"):
        source = name + base64.b64encode(data).decode()
    assert parts_of(audio=source) == (AudioPart(data, format),)


@each(("audio", "message"), [
    (b"CANARY", "neither WAV, MP3"), (b"", "neither WAV, MP3"), (PDF, "neither WAV, MP3"), (PNG, "neither WAV, MP3"),
    ("data:text/plain;base64,aGk=", "neither WAV, MP3"), ("no/file.mp3", "The recording 'no/file.mp3' cannot"),
    ("https://example.com/a.mp3", "download it and pass its bytes"), ("HTTPS://example.com/a.mp3", "download it and"),
    (None, ""), (ImagePart(data=PNG), "audio is a list of"),
])  # fmt: skip
def test_a_recording_that_cannot_be_sent_is_refused_with_what_to_do(audio: Any, message: str) -> None:
    if audio is not None:
        assert message in refusal(audio=audio)


@each(("name", "data", "part"), [
    ("report.pdf", PDF, FilePart(PDF, "application/pdf", "report.pdf")),
    ("report.txt", PDF, FilePart(PDF, "application/pdf", "report.txt")),
    ("a.docx", DOCX, FilePart(
        DOCX, "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "a.docx"
    )),
    ("a.mp4", MP4, FilePart(MP4, "video/mp4", "a.mp4")),
    ("cat.txt", PNG, ImagePart(data=PNG)),
    ("speech.bin", MP3, AudioPart(MP3, "mp3")),
])  # fmt: skip
def test_a_file_is_what_its_first_bytes_say_else_its_name(name: str, data: bytes, part: Any) -> None:
    file: Any = io.BytesIO(data)
    file.filename, file.name = f"uploads/{name}", "the field of a form"
    assert parts_of(files=file) == (part,)


def test_a_text_file_is_added_to_the_text_under_its_name(tmp_path: Path) -> None:
    for name in ("notes.md", "main.ts", "drawing.svg", "data.json"):  # whatever the system thinks of its ending
        (tmp_path / name).write_text("é: 1", encoding="utf-8")
        assert Message.user("What?", files=tmp_path / name).content == f"What?\n\n{name}:\n\né: 1"
    assert Message.user("What?", files=["é".encode("utf-16"), b"\xef\xbb\xbfa"]).content == "What?\n\né\n\na"
    assert Message.user("", files=b"a").content == "a"
    assert Message.user("What?", files=["data:text/plain;base64,aGk=", PNG]).content == (
        TextPart("What?\n\nhi"), image_part(PNG),
    )  # fmt: skip


@each(("url", "part"), [
    ("https://e.org/a/report%20one.pdf?x=1", FilePart(None, "application/pdf", "report one.pdf")),
    ("https://e.org/documents/5", FilePart(None, "application/pdf")),
    ("https://e.org/film.mp4", FilePart(None, "video/mp4", "film.mp4")),
    ("https://e.org/cat.png", ImagePart()),
    ("http://[", FilePart(None, "application/pdf")),
])  # fmt: skip
def test_a_file_may_be_a_url(url: str, part: Any) -> None:
    (read,) = parts_of(files=url)
    assert read == type(part)(**{**{name: getattr(part, name) for name in part.__slots__}, "url": url})


@each(("files", "message"), [
    (b"\xff\x00CANARY", "neither PDF nor text in UTF-8"), (b"a\x00CANARY", "neither PDF nor text"), (b"", "is empty"),
    ("data:text/csv;base64,6Q==", "neither PDF nor text in UTF-8"), ("file-abc123", r"is FilePart(file_id=...)"),
    ("file:///etc/hosts", "cannot be read"), (".", "directory"), ("/dev/null", "no regular file"),
])  # fmt: skip
def test_a_file_that_cannot_be_sent_is_refused_with_what_to_do(files: Any, message: str) -> None:
    assert message in refusal(files=files)


class Upload:
    """An upload of a framework whose ``read`` is asynchronous."""

    async def read(self, _: int = -1) -> bytes:
        return PNG


def test_an_open_file_is_read_from_its_beginning_and_its_position_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO(PNG)
    file.seek(0, io.SEEK_END)  # where whoever has just written it left it
    assert parts_of(images=file) == (image_part(PNG),)
    assert file.tell() == len(PNG)

    assert "not open in binary mode" in refusal(images=io.StringIO("CANARY"))
    assert "not open in binary mode" in refusal(images=Upload())
    assert "is empty" in refusal(images=io.BytesIO())
    file.close()
    assert "closed file" in refusal(images=file)
    monkeypatch.setattr(local_files, "LARGEST_FILE", len(PNG) - 1)
    assert "larger than" in refusal(images=io.BytesIO(PNG))


def test_an_image_of_pillow_in_a_mode_that_png_lacks_is_converted() -> None:
    for mode in ("RGB", "CMYK", "YCbCr", "1", "LA"):
        (part,) = parts_of(images=Pillow.new(mode, (2, 2)))
        assert isinstance(part, ImagePart)
        assert part.data
        assert Pillow.open(io.BytesIO(part.data)).size == (2, 2)
    assert parts_of(files=Pillow.new("RGB", (1, 1))) == parts_of(images=Pillow.new("RGB", (1, 1)))
    file = io.BytesIO()
    Pillow.effect_noise((64, 64), 50).save(file, format="PNG")
    assert "cannot be written as PNG" in refusal(images=Pillow.open(io.BytesIO(file.getvalue()[:-600])))
