"""The file of finished work: what a process wrote is there for the next one, whenever the first was killed."""

from __future__ import annotations

import errno
import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from unified_llm._lib import checkpoint as module
from unified_llm._lib.bounded_json import JSONError
from unified_llm._lib.checkpoint import Checkpoint, CheckpointError
from unified_llm._lib.file_lock import lock_file


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def items(count: int) -> list[tuple[str, str, dict[str, Any]]]:
    return [(f"key {number}", f"{number:064x}", {"text": f"Zürich {number} 😀\n"}) for number in range(count)]


def test_what_was_stored_is_found_by_key_and_fingerprint(path: Path) -> None:
    with Checkpoint(path) as checkpoint:
        assert checkpoint.get("a", "1") is None
        checkpoint.put("a", "1", {"text": "one"})
        assert checkpoint.get("a", "1") == {"text": "one"}
    with Checkpoint(path) as checkpoint:
        assert checkpoint.get("a", "1") == {"text": "one"}
        assert checkpoint.get("a", "2") is None, "the request has changed"
        assert checkpoint.get("b", "1") is None
        assert checkpoint.has("a", "1")
        assert len(checkpoint) == 1
        checkpoint.put("a", "1", {"text": "two"})
        assert checkpoint.get("a", "1") == {"text": "two"}, "the last one counts"
    assert "one" not in repr(checkpoint)


def test_a_file_cut_at_any_byte_has_the_whole_lines_before_and_can_be_continued(path: Path) -> None:
    with Checkpoint(path, fsync=False) as checkpoint:
        for item in items(3):
            checkpoint.put(*item)
    whole = path.read_bytes()
    ends = [end for end, byte in enumerate(whole, 1) if byte == ord("\n")]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        finished = max(0, sum(end <= length for end in ends) - 1)
        with Checkpoint(path, fsync=False) as checkpoint:
            found = [key for key, digest, record in items(3) if checkpoint.get(key, digest) == record]
            assert found == [f"key {number}" for number in range(finished)], length
            checkpoint.put("more", "1", {})
        with Checkpoint(path, fsync=False) as checkpoint:
            assert checkpoint.get("more", "1") == {}
            assert len(checkpoint) == finished + 1


def test_a_damaged_line_costs_that_item_alone(path: Path) -> None:
    with Checkpoint(path) as checkpoint:
        for item in items(3):
            checkpoint.put(*item)
    lines = path.read_bytes().splitlines(keepends=True)
    for damage in (b"\0" * 99 + b"\n", b"\n", lines[2][:40] + b"\0" + lines[2][41:], lines[2][:-4] + b"\n"):
        path.write_bytes(b"".join([*lines[:2], damage, *lines[3:]]))
        with Checkpoint(path) as checkpoint:
            found = [key for key, digest, _ in items(3) if checkpoint.get(key, digest) is not None]
        assert found == ["key 0", "key 2"]


def test_two_items_with_one_digest_are_not_mixed_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_item_id", lambda *_: 7)
    with Checkpoint(path) as checkpoint:
        checkpoint.put("a", "1", {})
        assert checkpoint.get("b", "1") is None
        assert checkpoint.get("a", "2") is None
        assert checkpoint.get("a", "1") == {}


@each("content", [b"question\n", b'{"custom_id": "1"}\n', b"\0", b"x" * 100, b'{"unified_llm_checkpoint":2}\n'])
def test_another_file_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        Checkpoint(path).open()
    assert path.read_bytes() == content


def test_two_runs_cannot_write_to_one_file(path: Path) -> None:
    with Checkpoint(path) as first:
        first.put("a", "1", {})
        size = path.stat().st_size
        with path.open("ab", buffering=0) as torn:
            torn.write(b'{"id":"')
        with pytest.raises(CheckpointError, match="in use"):
            Checkpoint(path).open()
        assert path.stat().st_size == size + 7, "the run that writes it may be in the middle of a line"
    with Checkpoint(path) as second:
        assert second.has("a", "1")


def test_a_folder_has_a_part_for_each_process_that_writes(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    with Checkpoint(f"{folder}/") as first, Checkpoint(folder) as second, Checkpoint(folder) as third:
        first.put("a", "1", {"by": "first"})
        second.put("b", "1", {"by": "second"})
        first.put("c", "1", {"by": "first"})
        assert not first.has("b", "1"), "parts are read when it is opened"
    assert [part.name for part in sorted(folder.iterdir())] == ["part-000001.jsonl", "part-000002.jsonl"]
    assert third.path == folder
    with Checkpoint(folder) as later:
        assert [(later.get(key, "1") or {}).get("by") for key in "abcb"] == ["first", "second", "first", "second"]
        later.put("d", "1", {})
        assert later.get("d", "1") == {}
        assert later.get("a", "1") == {"by": "first"}
    assert len(list(folder.iterdir())) == 3


def test_it_can_be_opened_again_and_refuses_what_comes_while_closed(path: Path) -> None:
    checkpoint = Checkpoint(path)
    with pytest.raises(CheckpointError, match="closed"):
        checkpoint.put("a", "1", {})
    with checkpoint:
        checkpoint.put("a", "1", {})
        assert checkpoint.open() is checkpoint
    checkpoint.close()
    with checkpoint:
        assert checkpoint.get("a", "1") == {}


@each("record", [{"x": float("nan")}, {"x": {1, 2}}, {"x": "\ud800"}])
def test_what_is_no_json_is_refused_before_it_is_written(path: Path, record: dict[str, Any]) -> None:
    with Checkpoint(path) as checkpoint:
        size = path.stat().st_size
        with pytest.raises(JSONError):
            checkpoint.put("a", "1", record)
        assert path.stat().st_size == size


class FullDisk(io.FileIO):
    """A file that takes so many bytes."""

    room = 0

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        return super().write(taken)


def test_a_full_disk_loses_the_item_that_did_not_fit_alone(path: Path) -> None:
    with Checkpoint(path) as checkpoint:
        checkpoint.put("a", "1", {})
        whole = path.read_bytes()
        full = FullDisk(path, "ab")
        full.room = 20
        before, checkpoint._file = checkpoint._file, full
        with pytest.raises(OSError, match="No space") as caught:
            checkpoint.put("b", "1", {})
        assert caught.value.filename == str(path)
        assert path.read_bytes() == whole
        assert not checkpoint.has("b", "1")
        full.room = 10_000
        checkpoint.put("c", "1", {})
        assert before is not None
        before.close()
    with Checkpoint(path) as checkpoint:
        assert [key for key in "abc" if checkpoint.has(key, "1")] == ["a", "c"]


def test_the_disk_gets_it_in_batches_of_items_or_seconds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    now = [0.0]
    with Checkpoint(path, clock=lambda: now[0]) as checkpoint:
        monkeypatch.setattr(os, "fsync", synced.append)
        for item in items(250):
            checkpoint.put(*item)
        assert len(synced) == 2
        now[0] += 0.5
        checkpoint.put("late", "1", {})
        assert len(synced) == 3
        checkpoint.flush()
        assert len(synced) == 3, "there is nothing new"
        checkpoint.put("last", "1", {})
    assert len(synced) == 4, "closing writes the rest"


def test_threads_may_store_at_once(path: Path) -> None:
    with Checkpoint(path, fsync=False) as checkpoint:

        def store(name: str) -> None:
            for number in range(50):
                checkpoint.put(f"{name}{number}", "1", {"n": number})
                assert checkpoint.get(f"{name}{number}", "1") == {"n": number}

        threads = [threading.Thread(target=store, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Checkpoint(path) as checkpoint:
        assert len(checkpoint) == 200
        assert all(json.loads(line) for line in path.read_text().splitlines())


def test_others_cannot_read_it(path: Path) -> None:
    with Checkpoint(path):
        assert path.stat().st_mode & 0o077 == 0


def test_a_fork_cannot_write_through_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Checkpoint(path) as checkpoint:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(CheckpointError, match="forked"):
                checkpoint.put("a", "1", {})
        checkpoint.put("a", "1", {})


def test_a_file_system_without_locks_counts_as_free(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with path.open("ab") as file:
        assert lock_file(file)
