"""Forms with files, read back by the standard library's parser of MIME."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP

from tests.support.each import each
from unified_llm._lib.multipart import FormFile, encode_form


def read_form(content_type: str, body: bytes) -> list[tuple[str, str | None, str, bytes]]:
    """Return name, file name, media type and data of each part."""
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part.get_content_type(),
            bytes(part.get_payload(decode=True)),
        )
        for part in message.iter_parts()
    ]


def test_texts_and_files_come_back_in_their_order() -> None:
    file = FormFile(b"RIFF\r\n--\x00", "a.wav", "audio/wav")
    content_type, body = encode_form([("model", "whisper-1"), ("file", file), ("include[]", "a"), ("include[]", "b")])
    assert read_form(content_type, body) == [
        ("model", None, "text/plain", b"whisper-1"),
        ("file", "a.wav", "audio/wav", b"RIFF\r\n--\x00"),
        ("include[]", None, "text/plain", b"a"),
        ("include[]", None, "text/plain", b"b"),
    ]


@each("name", ['a"b.wav', "a\r\nX-Evil: 1.wav", "a\\b.wav", "größe.wav"])
def test_a_name_ends_neither_its_header_nor_its_quotes(name: str) -> None:
    body = encode_form([("file", FormFile(b"data", name, "audio/wav\r\nX-Evil: 1"))])[1]
    head = body.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert len(head) == 3  # the boundary and two headers
    assert head[1].count(b'"') == 4
    assert head[2] == b"Content-Type: application/octet-stream"


def test_what_looks_like_a_boundary_in_a_file_is_no_boundary() -> None:
    _, earlier = encode_form([("file", FormFile(b"data", "a", "a/b"))])
    content_type, body = encode_form([("file", FormFile(earlier, "a", "a/b"))])
    assert [data for *_, data in read_form(content_type, body)] == [earlier]


def test_an_empty_form_is_a_boundary_alone() -> None:
    content_type, body = encode_form([])
    assert body == b"--" + content_type.partition("=")[2].encode() + b"--\r\n"
