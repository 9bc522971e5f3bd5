"""Files that a caller names: regular ones alone, bounded, their beginning looked at first."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from typing import Any, Self

import pytest
from llama_index.core.base.llms.types import AudioBlock, ChatMessage, DocumentBlock, ImageBlock, TextBlock, VideoBlock

from unified_llm import configure
from unified_llm._lib import local_files
from unified_llm._lib.local_files import LARGEST_FILE, absolute_path, read_file
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.llama_index._messages import read_messages
from unified_llm.types import Message

PNG = b"\x89PNG" + bytes(100)


@pytest.fixture(name="read")
def _read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read asked for."""
    asked: list[int] = []
    opened = os.fdopen

    class Counted:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def fileno(self) -> int:
            number: int = self.file.fileno()
            return number

        def read(self, size: int) -> bytes:
            asked.append(size)
            data: bytes = self.file.read(size)
            return data

    monkeypatch.setattr(os, "fdopen", lambda *arguments: Counted(opened(*arguments)))
    return asked


def special_files(tmp_path: Path) -> list[str]:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    link = tmp_path / "link.png"
    link.symlink_to("/dev/zero")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s.png"))
    listening.close()
    return [
        "/dev/zero",
        "/dev/urandom",
        "/dev/null",
        "/dev/tty",
        str(pipe),
        str(link),
        str(tmp_path / "s.png"),
        "/dev",
        ".",
    ]


def test_a_device_a_pipe_or_a_directory_is_not_opened(tmp_path: Path, read: list[int]) -> None:
    for path in special_files(tmp_path):
        with pytest.raises(ValidationError, match=r"no regular file|No such"):
            Message.user("Hello?", images=[path])
        for block in (ImageBlock, AudioBlock, VideoBlock, DocumentBlock):
            message = ChatMessage(blocks=[TextBlock(text="Hello?"), block.model_construct(path=Path(path))])
            with pytest.raises((ValidationError, ValueError)):
                read_messages([message])
    assert read == []


@pytest.mark.parametrize("name", ["/proc/self/maps", "/proc/self/environ", "/proc/cpuinfo"])
def test_a_file_that_hides_its_size_is_not_read(name: str, read: list[int]) -> None:
    if not Path(name).exists():
        pytest.skip("no such file on this machine")
    with pytest.raises(ValidationError, match="it is empty"):
        Message.user("Hello?", images=[name])
    assert read == []


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, read: list[int]) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(PNG)
    os.truncate(path, LARGEST_FILE + 1)  # a sparse file, which takes no place
    with pytest.raises(ValidationError, match=re.escape(f"{str(path)!r} cannot be read (it is larger than 64 MiB)")):
        Message.user("Hello?", images=[path])
    assert read == []


def test_a_file_that_grows_while_it_is_read_ends_at_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[int]
) -> None:
    path = tmp_path / "growing.png"
    path.write_bytes(PNG)
    monkeypatch.setattr(local_files, "LARGEST_FILE", len(PNG) - 1)
    monkeypatch.setattr(local_files, "_check", lambda _: None)
    with pytest.raises(OSError, match="larger than"):
        read_file(path)
    assert sum(read) <= len(PNG)


def test_the_type_is_known_before_the_rest_is_read(tmp_path: Path, read: list[int]) -> None:
    path = tmp_path / "secrets.txt"
    path.write_bytes(b"password" * 10_000)
    with pytest.raises(ValidationError, match="neither PNG, JPEG, GIF nor WebP"):
        Message.user("Hello?", images=[path])
    assert read == [64]
    assert read_file(path) == b"password" * 10_000


def test_a_pipe_that_takes_the_place_of_a_file_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    real, statuses = local_files._check, list[os.stat_result]()

    def check_from_the_second_on(status: os.stat_result) -> None:
        if statuses:
            real(status)
        statuses.append(status)

    monkeypatch.setattr(local_files, "_check", check_from_the_second_on)
    with pytest.raises(OSError, match="no regular file"):
        read_file(path)


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    before = open_files()
    for _ in range(20):
        assert read_file(path) == PNG
        with pytest.raises(ZeroDivisionError):
            read_file(path, lambda start: 1 / 0)
    after = open_files()
    assert after == before


def test_a_stream_of_a_block_is_read_up_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with path.open("rb") as stream:
        message = ChatMessage(blocks=[ImageBlock.model_construct(image=stream, image_mimetype="image/png")])
        assert read_messages([message])[0].content
        monkeypatch.setattr(local_files, "LARGEST_FILE", len(PNG) - 1)
        with pytest.raises(ValidationError, match="larger than"):
            read_messages([message])
        assert stream.tell() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a working directory that is in use")
def test_a_path_stays_as_it_is_where_the_working_directory_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_path("a.yaml") == tmp_path / "a.yaml"
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert absolute_path("a.yaml") == Path("a.yaml")
    with pytest.raises(ConfigurationError, match=r"There is no file a\.yaml"):
        configure(config="a.yaml")
    with pytest.raises(ConfigurationError, match="model_cache"):
        configure(model_cache="a")
