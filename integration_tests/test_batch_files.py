"""``unified-llm batch`` as a process: killed, interrupted, on a full disk, twice at once, in a terminal."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from integration_tests.support.terminal import HAS_TERMINALS, Terminal
from integration_tests.support.upstream import KEY, Upstream
from integration_tests.support.waiting import PATIENCE, wait_until
from integration_tests.test_command_line import PROGRAM, environment

LINES: Final = 48
BASH: Final = shutil.which("bash")
ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(name="server")
def _server() -> Iterator[Upstream]:
    with Upstream(delay=0.1) as server:
        yield server


@pytest.fixture(autouse=True, name="folder")
def _folder(tmp_path: Path) -> Path:
    lines = [
        {
            "custom_id": f"q{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "scripted-small", "messages": [{"role": "user", "content": f"Question {number}"}]},
        }
        for number in range(LINES)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def command(server: Upstream, *arguments: str) -> list[str]:
    target = ("-p", "openai-compatible", "-u", server.base_url, "--api-key-env", "SERVER_KEY")
    return [*PROGRAM, "batch", "in.jsonl", "out.jsonl", *target, "--concurrency", "4", *arguments]


def begin(server: Upstream, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(server, *arguments), cwd=folder, env=environment(SERVER_KEY=KEY), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=2 * PATIENCE)
    assert out == ""
    assert KEY not in err
    return process.returncode, err


def let_pass(server: Upstream, number: int) -> None:
    """Wait until the server has this many requests; the next one and those after it get no response until later."""
    server.held_from = number + 1
    assert wait_until(lambda: len(server.requests) > number), "no requests"


def answered(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def stored(folder: Path) -> int:
    return (folder / "out.jsonl.checkpoint.jsonl").read_bytes().count(b'"response"')


def test_a_run_that_is_killed_twice_answers_every_line_once(server: Upstream, folder: Path) -> None:
    kept = 0
    for requests in (15, 40):
        process = begin(server, folder)
        let_pass(server, requests)
        process.kill()
        finish(process)
        server.held_from = None
        assert not (folder / "out.jsonl").exists(), "no part of the output is taken for the whole"
        assert stored(folder) > kept, "what arrived is kept"
        kept = stored(folder)
    code, err = finish(begin(server, folder))
    assert code == 0, err
    written = answered(folder)
    assert [line["custom_id"] for line in written] == [f"q{number}" for number in range(LINES)]
    for number, line in enumerate(written):
        assert f"Question {number}." in line["response"]["body"]["choices"][0]["message"]["content"]
    asked = Counter(request.body["messages"][0]["content"] for request in server.requests)
    assert len(asked) == LINES
    assert asked.total() - LINES <= 2 * 4, "only what was in flight at a kill was sent again"
    assert f"{kept} of them by an earlier run" in err
    assert server.violations == []

    assert finish(begin(server, folder))[0] == 0
    assert len(server.requests) == asked.total(), "a finished run sends nothing"
    assert sorted(path.name for path in folder.iterdir()) == ["in.jsonl", "out.jsonl", "out.jsonl.checkpoint.jsonl"]


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_what_is_done_stored(
    server: Upstream, folder: Path, number: signal.Signals, expected: int
) -> None:
    process = begin(server, folder)
    let_pass(server, 15)
    assert wait_until(lambda: stored(folder) >= 10)
    process.send_signal(number)
    code, err = finish(process)
    server.held_from = None
    assert code == expected
    assert err == (
        "unified-llm: interrupted; what has arrived is kept in out.jsonl.checkpoint.jsonl: give the same command again "
        "to go on\n"
    )
    assert finish(begin(server, folder))[0] == 0
    assert len(answered(folder)) == LINES
    assert len(server.requests) <= LINES + 4


def test_two_runs_at_once_are_refused(server: Upstream, folder: Path) -> None:
    first = begin(server, folder)
    let_pass(server, 5)
    code, err = finish(begin(server, folder))
    assert code == 2
    assert "The checkpoint out.jsonl.checkpoint.jsonl is in use" in err
    server.held_from = None
    assert finish(first)[0] == 0
    assert len(server.requests) == LINES


@pytest.mark.skipif(BASH is None or sys.platform == "win32", reason="limits of processes are of Unix")
def test_a_full_disk_is_one_error_and_the_run_goes_on_later(server: Upstream, folder: Path) -> None:
    script = f"ulimit -f 16; exec {' '.join(command(server))}"  # 16 KiB for each file
    ended = subprocess.run(
        [str(BASH), "-c", script], cwd=folder, env=environment(SERVER_KEY=KEY), text=True, capture_output=True,
        timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert "cannot be written (File too large)" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert 5 <= stored(folder) < LINES
    code, err = finish(begin(server, folder))
    assert code == 0, err
    assert len(answered(folder)) == LINES


@pytest.mark.skipif(not HAS_TERMINALS, reason="pseudo-terminals are of Unix")
@pytest.mark.parametrize("columns", [40, 120])
def test_a_terminal_shows_how_far_it_is(server: Upstream, folder: Path, columns: int) -> None:
    arguments = command(server)
    inside = ["sh", "-c", f"cd {folder} && exec {' '.join(arguments)}"]
    with Terminal(inside, environment(SERVER_KEY=KEY), columns) as terminal:
        terminal.wait_for(f"/{LINES}")
        terminal.wait_for(f"{LINES}/{LINES}")
        terminal.wait_for("tokens")
    bars = [line for line in re.split(r"[\r\n]", ESCAPES.sub("", terminal.shown)) if f"/{LINES}" in line]
    assert bars
    assert max(map(len, bars)) <= columns
