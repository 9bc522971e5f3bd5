"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unified_llm._lib.whole_file import write_whole


def test_a_file_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with write_whole(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(OSError, match="full") as caught, write_whole(path):
        raise OSError(28, "full")
    assert caught.value.filename == str(path)
    with pytest.raises(KeyboardInterrupt), write_whole(path):
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".out.part").write_text("left of an earlier run, which was longer")
    with write_whole(tmp_path / "out") as file:
        file.write(b"new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", "new")]


def test_a_link_stays_one_and_a_device_is_written_as_it_is(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    with write_whole(link) as file:
        file.write(b"new")
    assert (link.is_symlink(), target.read_text()) == (True, "new")
    with write_whole(os.devnull) as file:
        file.write(b"new")
    assert not Path(os.devnull).is_file()
