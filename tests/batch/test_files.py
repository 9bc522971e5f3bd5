"""Files of a run that are unusual: pipes, names that are no text, inputs without requests, values that JSON lacks."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.batch_files import HERE, MODEL, answer, line, read_lines, text_of, write_lines
from tests.support.each import each
from tests.support.scripted_targets import say
from unified_llm._lib.whole_file import is_stream, write_whole
from unified_llm.batch._input import Input
from unified_llm.batch._run import Files
from unified_llm.cli._outcome import describe
from unified_llm.exceptions import ValidationError

ON_UNIX = pytest.mark.skipif(sys.platform == "win32", reason="pipes with names are of Unix")


@pytest.fixture(autouse=True, name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@ON_UNIX
def test_an_input_that_can_be_read_once_alone_is_copied(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    data = "".join(json.dumps(line(number)) + "\n" for number in range(3))
    writer = threading.Thread(target=(folder / "pipe").write_text, args=(data,))
    writer.start()
    ended, sent = answer("pipe", "out.jsonl", *HERE)
    writer.join()
    assert (ended.code, len(sent)) == (0, 3), ended.err
    assert len(read_lines(folder / "out.jsonl")) == 3


@ON_UNIX
def test_an_output_that_is_a_pipe_has_no_files_beside_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    source = write_lines(folder / "in.jsonl", [line(0), line(1, api_key="x")])
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append((folder / "pipe").read_text()))
    reader.start()
    ended, _ = answer(source, "pipe", *HERE)
    reader.join()
    assert ended.code == 1, ended.err
    assert [text_of(json.loads(text)) for text in received[0].splitlines()] == ["Hi"]
    assert sorted(path.name for path in folder.iterdir()) == ["in.jsonl", "pipe"]


def test_what_is_open_already_is_written_in_its_place(folder: Path) -> None:
    for path in ("/dev/stdout", "/dev/fd/63", "/proc/self/fd/1"):
        assert is_stream(path)
        assert Files.beside(path) == Files(path, None, None)
    assert not is_stream("/dev/shm/out.jsonl")  # noqa: S108 - a folder like any other
    assert not is_stream(folder)
    if sys.platform != "linux":
        return
    appended = folder / "log"
    appended.write_bytes(b"before\n")
    with appended.open("ab") as file, write_whole(f"/proc/self/fd/{file.fileno()}") as output:
        output.write(b"answer\n")
    assert appended.read_bytes() == b"before\nanswer\n"


@each(
    ("lines", "arguments", "problem"),
    [
        (["id,text", "1,a"], ["--column", "text"], "line 1: it is no JSON"),
        (["Hello.", "Hello?"], [], "line 1: it is no JSON"),
        (["{", '"a": 1', "}"], [], "line 1: it is no JSON"),
        (["5", "[]"], ["--column", "text"], "line 1: it is no JSON object"),
        ([{"text": "a"}, {"text": "b"}], [], "names no url, .*; rows with a prompt in a column need --column"),
    ],
)
def test_an_input_without_any_request_is_one_error(
    folder: Path, lines: list[Any], arguments: list[str], problem: str
) -> None:
    write_lines(folder / "in.txt", lines)
    ended, sent = answer("in.txt", "out.jsonl", *arguments, *HERE)
    assert (ended.code, sent) == (2, [])
    with pytest.raises(ValidationError, match=problem):
        raise ValidationError(ended.err)
    assert not (folder / "out.failed.jsonl").exists()


def test_an_empty_prompt_is_the_failure_of_its_row(folder: Path) -> None:
    write_lines(folder / "in.jsonl", [{"text": ""}, {"text": "a"}])
    ended, sent = answer("in.jsonl", "out.jsonl", "--column", "text", *HERE)
    assert (ended.code, len(sent)) == (1, 1)
    [failed] = read_lines(folder / "out.failed.jsonl")
    assert failed["error"]["message"] == "Line 1: its prompt is empty."


def test_numbers_that_json_lacks_become_null_in_what_is_written(folder: Path) -> None:
    write_lines(folder / "in.jsonl", ['{"text": "a", "x": 1e999, "y": [1, -1e999]}', '{"text": null, "x": 1e999}'])
    answer("in.jsonl", "out.jsonl", "--column", "text", *HERE)
    for name in ("out.jsonl", "out.failed.jsonl"):
        text = (folder / name).read_text()
        assert json.loads(text, parse_constant=pytest.fail)["x"] is None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_text_is_no_obstacle(folder: Path) -> None:
    source = write_lines(folder / "in\udcff.jsonl", [line(0)])
    for _ in range(2):
        ended, _ = answer(source.name, "out\udcff.jsonl", *HERE)
        assert ended.code == 0, ended.err
    assert len(read_lines(folder / "out\udcff.jsonl")) == 1


def test_a_folder_that_cannot_be_written_to_is_noticed_before_anything_is_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(folder / "in.jsonl", [line(0)])
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder / "away")
    (folder / "away").mkdir()
    for names in (["away/out.jsonl", "--checkpoint", "c", "--failed", "f"], ["out.jsonl", "--failed", "away/f"]):
        ended, sent = answer(source, *names, *HERE)
        assert (ended.code, sent) == (2, [])
        assert "away cannot be written to" in ended.err


def test_names_that_are_no_files_are_refused(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(0)])
    for arguments, problem in (
        (["out.jsonl", "--checkpoint", "-"], "--checkpoint cannot be -: it is no file"),
        (["out.jsonl", "--json", "--failed", "-"], "--json prints to standard output"),
        (["/dev/stdout", "--service", "batch"], "name a file for it, not /dev/stdout"),
    ):
        ended, sent = answer(source, *arguments, *HERE)
        assert (ended.code, sent) == (2, [])
        assert problem in ended.err
    with pytest.raises(ValidationError, match="the name of the input is empty"):
        Input("")


def test_an_endpoint_refuses_what_it_does_not_take(folder: Path) -> None:
    write_lines(folder / "in.jsonl", [{"text": 5}])
    rows = ["in.jsonl", "out.jsonl", "--column", "text"]
    for endpoint, option, value in (
        ("/v1/embeddings", "--system", "Be brief."),
        ("/v1/completions", "--system", "Be brief."),
        ("/v1/embeddings", "--temperature", "0.5"),
        ("/v1/embeddings", "--max-tokens", "5"),
    ):
        ended, sent = answer(*rows, "--endpoint", endpoint, option, value, *HERE)
        assert (ended.code, sent) == (2, [])
        assert f"{endpoint} takes no {option}" in ended.err
    ended, sent = answer(*rows, "--template", "{text}", *HERE)
    assert (ended.code, sent) == (2, [])
    assert "leave out --column" in ended.err
    ended, _ = answer(*rows, "--endpoint", "/v1/completions", *HERE)
    assert ended.code == 0, "a number in a column is a prompt, at each endpoint"


def test_the_terminal_names_options_and_the_file_arguments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    source = write_lines(folder / "in.jsonl", [line(0, model="gpt-5-mini")])
    ended, _ = answer(source, "out.jsonl")
    planned, _ = answer(source, "--plan")
    for shown in (ended.err, planned.err):
        assert "--skip-unconfigured" in shown
        assert "api_key=" not in shown


def test_a_full_disk_names_the_file() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/data/out.jsonl")
    assert describe(error)[0] == "/data/out.jsonl cannot be written: No space left on device"
    assert describe(OSError(errno.ENOSPC, "No space left on device"))[0].startswith("the output cannot be written")


def test_the_model_of_all_lines_is_not_said_to_replace_itself(folder: Path) -> None:
    names = ("m", "openai-compatible/m", "other")
    source = write_lines(folder / "in.jsonl", [line(number, model=name) for number, name in enumerate(names)])
    ended, _ = answer(source, "out.jsonl", *HERE)
    assert "--model was used for all lines, also for those that name other\n" in ended.err


@each("left", [0, 2])
def test_an_input_that_loses_lines_while_they_are_answered_is_one_error(folder: Path, left: int) -> None:
    lines = [line(number, f"text {number}") for number in range(3)]
    source = write_lines(folder / "in.jsonl", lines)

    class Lost(list[Any]):
        def __iter__(self) -> Any:
            write_lines(source, lines[:left])
            return super().__iter__()

    for old in folder.glob("out*"):
        old.unlink()
    ended, sent = answer(source, "out.jsonl", *HERE, scripts={MODEL: [say("A"), say("B"), Lost(say("C"))]})
    assert (ended.code, len(sent)) == (1, 3)
    assert f"has lost {3 - left} of its 3 lines" in ended.err
    assert not (folder / "out.jsonl").exists()
