"""Images of a request to a model in this process: what is decoded, what is refused, and which one it was."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import Message
from unified_llm._backends.mlx import vision_images
from unified_llm._backends.mlx.engine_types import EngineError
from unified_llm._backends.mlx.vision_images import images_of, read_images, write_content
from unified_llm.types import ImagePart, TextPart

Image = pytest.importorskip("PIL.Image")

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def file_of(color: Any = RED, *, kind: str = "PNG", size: tuple[int, int] = (8, 4), mode: str = "RGB") -> bytes:
    written = BytesIO()
    Image.new(mode, size, color).save(written, kind)
    return written.getvalue()


def claiming(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims to be of any size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    written = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def refusal_of(*files: bytes) -> EngineError:
    with pytest.raises(EngineError) as refused:
        read_images(files)
    return refused.value


@each("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG"])
def test_formats_of_the_web_and_of_cameras_are_decoded(kind: str) -> None:
    (image,) = read_images([file_of(kind=kind)])
    assert (image.mode, image.size) == ("RGB", (8, 4))
    red = image.getpixel((0, 0))
    assert isinstance(red, tuple)
    assert red[0] > 250


def test_images_keep_their_order() -> None:
    images = read_images([file_of(RED), file_of(BLUE)])
    assert [image.getpixel((0, 0)) for image in images] == [RED, BLUE]


@each(
    ("mode", "color", "expected"),
    [("RGBA", (*RED, 0), WHITE), ("RGBA", (*RED, 255), RED), ("LA", (0, 0), WHITE), ("L", 255, WHITE), ("1", 1, WHITE)],
)
def test_what_is_transparent_becomes_white(mode: str, color: Any, expected: tuple[int, ...]) -> None:
    (image,) = read_images([file_of(color, mode=mode)])
    assert image.getpixel((0, 0)) == expected


@each(
    ("mode", "kind", "shades", "expected"),
    [
        ("I;16", "PNG", (0, 32768, 65535), (0, 127, 255)),
        ("I;16", "TIFF", (0, 256, 512), (0, 0, 1)),
        ("I", "TIFF", (-1000, 0, 1000), (0, 127, 255)),
        ("F", "TIFF", (0.0, 0.5, 1.0), (0, 127, 255)),
        ("F", "TIFF", (3.0, 3.0, 3.0), (0, 0, 0)),
    ],
)
def test_shades_of_more_than_8_bits_are_scaled(
    mode: str, kind: str, shades: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    picture, file = Image.new(mode, (3, 1)), BytesIO()
    for place, shade in enumerate(shades):
        picture.putpixel((place, 0), shade)
    picture.save(file, kind)
    (image,) = read_images([file.getvalue()])
    read = [image.getpixel((place, 0)) for place in range(3)]
    assert read == [(shade,) * 3 for shade in expected]


def test_a_picture_that_is_too_large_is_not_called_damaged_where_warnings_are_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "pixels" in str(refusal_of(claiming(12_000, 9_000)))


def test_a_photograph_is_turned_upright_and_of_an_animation_the_first_frame_is_read() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    photograph, animation = BytesIO(), BytesIO()
    Image.new("RGB", (8, 4), RED).save(photograph, "JPEG", exif=turned)
    frames = [Image.new("RGB", (8, 4), color) for color in (RED, BLUE)]
    frames[0].save(animation, "GIF", save_all=True, append_images=frames[1:])
    upright, first = read_images([photograph.getvalue(), animation.getvalue()])
    assert upright.size == (4, 8)
    assert first.getpixel((0, 0)) == RED


@each(
    ("file", "kind", "message"),
    [
        (b"", "bad_request", "no known format"),
        (b"hello", "bad_request", "no known format"),
        (b"GIF89a", "bad_request", "damaged (image/gif)"),
        (b"%PDF-1.7 text", "bad_request", "application/pdf"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "bad_request", "no known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "bad_request", "no known format"),
        (b"\0\0\0\x18ftypheic" + bytes(12), "unsupported", "image/heic"),
        (file_of(size=(64, 64))[:60], "bad_request", "damaged"),
        (file_of(kind="JPEG", size=(64, 64))[:-200], "bad_request", "damaged"),
        (claiming(9_000, 9_000), "bad_request", "9000 x 9000"),
        (claiming(2_000_000_000, 2_000_000_000), "bad_request", "pixels"),
        (claiming(8, 8), "bad_request", "damaged"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_read_is_refused_and_named(file: bytes, kind: str, message: str) -> None:
    error = refusal_of(file)
    assert (error.kind, str(error).startswith("The image ")) == (kind, True)
    assert message in str(error)
    assert str(refusal_of(file_of(), file)).startswith("Image 2 of 2 ")


def test_one_request_has_a_limit_of_pixels_bytes_and_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_images, "MAX_PIXELS", 50)
    assert len(read_images([file_of()])) == 1
    assert "Image 2 of 2 has 8 x 4 pixels" in str(refusal_of(file_of(), file_of()))
    monkeypatch.setattr(vision_images, "MAX_BYTES", 10)
    assert "at most 10" in str(refusal_of(file_of()))
    monkeypatch.setattr(vision_images, "MAX_IMAGES", 1)
    assert "2 images and at most 1" in str(refusal_of(file_of(), file_of()))


def test_an_image_keeps_its_place_between_texts() -> None:
    first, second = file_of(RED), file_of(BLUE)
    turns = [
        Message.user("What is this?", images=[first]),
        Message.assistant("Red."),
        Message("user", (TextPart("And"), ImagePart(data=second), TextPart("this?"))),
    ]
    assert images_of(turns) == (first, second)
    contents = [write_content(turn) for turn in turns]
    kinds = [content if isinstance(content, str) else [part["type"] for part in content] for content in contents]
    assert kinds == [["text", "image"], "Red.", ["text", "image", "text"]]
