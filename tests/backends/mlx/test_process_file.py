"""The files in which processes say which models they have in memory, and the command that prints them."""

from __future__ import annotations

import json
import os
import stat
import threading
from dataclasses import asdict, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.support.command_line import Ended, run
from tests.support.mlx_calls import TIMEOUT
from unified_llm._backends.mlx import engines, process_file
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.process_file import ProcessFile, ProcessModel, program_name, read_processes
from unified_llm._core import runtime
from unified_llm._core.runtime import Runtime

MODEL = ProcessModel(41, "app.py", "/models/Qwen3-4B-4bit", None, None, "ready", 2_300_000_000, 0, 1000.0, 2800.0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(process_file, "_folder", lambda: tmp_path / "mlx")
    return tmp_path / "mlx"


def test_what_a_process_writes_is_read_until_it_has_no_model(folder: Path) -> None:
    own, other = ProcessFile(), ProcessFile()
    assert read_processes() == []
    own.write([MODEL, replace(MODEL, model="/a")])
    other.write([replace(MODEL, pid=7)])
    assert [(model.pid, model.model) for model in read_processes()] == [(7, MODEL.model), (41, "/a"), (41, MODEL.model)]
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, "for its user alone"
    own.write([replace(MODEL, requests=3)])
    assert read_processes()[1:] == [replace(MODEL, requests=3)]
    own.write([])
    other.write([])
    assert list(folder.iterdir()) == []
    own.write([MODEL])
    assert read_processes() == [MODEL]
    own.write([])


def test_the_file_of_a_process_that_was_killed_is_removed(folder: Path) -> None:
    killed, alive = ProcessFile(), ProcessFile()
    killed.write([MODEL])
    alive.write([replace(MODEL, pid=7)])
    assert killed._open is not None
    os.close(killed._open[0])  # as the system does
    assert [model.pid for model in read_processes()] == [7]
    assert len(list(folder.iterdir())) == 1
    alive.write([])


def test_a_child_of_a_process_has_no_file_of_its_own_yet(folder: Path) -> None:
    own = ProcessFile()
    own.write([MODEL])
    assert own._open is not None
    descriptor = os.dup(own._open[0])  # that of the parent
    own._forget()
    assert read_processes() == [MODEL]
    own.write([])
    assert read_processes() == [MODEL], "it is the file of the parent"
    os.close(descriptor)


def test_damaged_files_and_folders_that_cannot_be_used_are_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [ProcessFile() for _ in range(4)]
    for number, (file, text) in enumerate(zip(files, ('[{"pid": 1}]', "{", "5", "[" * 5000), strict=True)):
        file.write([replace(MODEL, pid=number)])
        assert file._open is not None
        os.ftruncate(file._open[0], 0)
        os.pwrite(file._open[0], text.encode(), 0)
    assert read_processes() == []
    for file in files:
        file.write([])
    folder.rmdir()
    folder.write_text("a file in its place")
    ProcessFile().write([MODEL])
    assert read_processes() == []
    monkeypatch.setattr(process_file, "_folder", lambda: None)
    ProcessFile().write([MODEL])
    assert read_processes() == []


def test_a_program_is_named_without_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/opt/app/serve.py", "a secret prompt"])
    assert program_name() == "serve.py"
    for argv in (["-c"], [""], []):
        monkeypatch.setattr("sys.argv", argv)
        assert program_name().startswith("python")


# Old versions of Typer import what newer ones of Click deprecate.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:typer")
def test_the_command_prints_a_table_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_llm._backends.mlx.unavailable_reason", lambda: None)
    monkeypatch.setattr("unified_llm._backends.mlx.memory.default_limit", lambda: 9_800_000_000)
    note = "unified-llm: the default of memory_limit for a process that starts now: 9.8 GB\n"
    ended = run("mlx", "ps")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"unified-llm: no process of this user has a model of MLX in memory\n{note}"
    file = ProcessFile()
    busy = replace(MODEL, model="/m", draft="/models/small", requests=2, idle_since=None, unload_at=None, size=0)
    file.write([MODEL, busy])
    with runtime.use(Runtime(wall=lambda: 1060.0)):
        table = """\
PID  PROGRAM  MODEL                  STATE  SIZE    REQUESTS  IDLE  UNLOADED IN
41   app.py   /m + small             ready          2
41   app.py   /models/Qwen3-4B-4bit  ready  2.3 GB  0         60 s  1740 s
"""
        assert run("mlx", "ps") == Ended(0, table, note)
    assert json.loads(run("mlx", "ps", "--json").out) == [asdict(busy), asdict(MODEL)]
    file.write([])


class Waiting:
    """A model that serves nothing until its engine ends."""

    size = 0

    def serve(self, queue: SimpleQueue[Any]) -> None:
        while queue.get() is not None:
            pass


def test_the_engines_of_this_process_describe_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is being loaded, or could not be, is not idle: it is not unloaded after a time."""
    go_on = threading.Event()

    def load(_: Engine) -> Waiting:
        assert go_on.wait(TIMEOUT)
        return Waiting()

    monkeypatch.setattr(Engine, "_load", load)
    monkeypatch.setattr(engines, "unavailable_reason", lambda: "no memory is reserved")
    engine = engines.get_engine(tmp_path)
    (loading,) = engines._describe()
    assert (loading.pid, loading.model, loading.requests) == (os.getpid(), str(engine.folder), 0)
    assert (loading.state, loading.idle_since, loading.unload_at) == ("loading", None, None)
    go_on.set()
    assert engine.wait_loaded(TIMEOUT)
    (ready,) = engines._describe()
    assert ready.unload_at is not None
    assert ready.idle_since is not None
    assert ready.unload_at - ready.idle_since == pytest.approx(1800)
    engine.close()
    (ended,) = engines._describe()
    assert (ended.state, ended.idle_since, ended.unload_at) == ("ended", None, None)
    engines.close_engines()
    assert engines._describe() == []
