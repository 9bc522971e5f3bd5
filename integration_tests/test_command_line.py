"""The command line as processes: pipes, Ctrl-C, terminals, exit codes, and completion in a real shell."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import override

from integration_tests.fakes.local_servers import MODEL, Ollama
from integration_tests.support.loopback import Loopback
from integration_tests.support.processes import killed_at_the_end
from integration_tests.support.terminal import CTRL_C, CTRL_D, HAS_TERMINALS, Terminal
from integration_tests.support.waiting import PATIENCE

PROGRAM: Final = (sys.executable, "-m", "unified_llm")
SOURCES: Final = str(Path(__file__).parents[1] / "src")
BASH: Final = shutil.which("bash")
FISH: Final = shutil.which("fish")
in_a_terminal = pytest.mark.skipif(not HAS_TERMINALS, reason="pseudo-terminals are of Unix")


def environment(**variables: str) -> dict[str, str]:
    """Return variables without keys, colours, and addresses of servers."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "SYSTEMROOT") if name in os.environ}
    return {**kept, "PYTHONPATH": SOURCES, "PYTHONUTF8": "1", "TERM": "xterm-256color", **variables}


def run(*arguments: str, stdin: Any = subprocess.DEVNULL, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments], stdin=stdin, capture_output=True, text=True, timeout=120, check=False,
        env=environment(**variables),
    )  # fmt: skip


def shell(command: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of bash to its end."""
    assert BASH
    return subprocess.run(
        [BASH, "-c", command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=variables or environment(),
    )


@pytest.fixture(scope="module")
def ollama() -> Iterator[Ollama]:
    with Ollama() as server:
        yield server


def target(server: Ollama) -> tuple[str, ...]:
    return ("-p", "ollama", "-u", server.address, "-m", MODEL)


class _EndlessHandler(BaseHTTPRequestHandler):
    """Streams words in OpenAI's format until the connection is closed; nothing at all where the prompt is "wait"."""

    asked: threading.Event

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.set()
        waits = body["messages"][-1]["content"] == "wait"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for number in range(3000):
            word = {"choices": [{"index": 0, "delta": {"content": f"word {number}\n"}}]}
            self.wfile.write(b": \n\n" if waits else f"data: {json.dumps(word)}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.01)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@dataclass
class Endless(Loopback):
    """A server whose streams do not end."""

    asked: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.serve(_EndlessHandler, asked=self.asked)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options that choose it."""
        return ("-p", "openai-compatible", "-u", self.address, "-m", "m")


class _BreakingHandler(BaseHTTPRequestHandler):
    """Streams a word, and closes the connection."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        word = {"choices": [{"index": 0, "delta": {"content": "a word"}}]}
        self.wfile.write(f"data: {json.dumps(word)}\n\n".encode())

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@dataclass
class Breaking(Endless):
    """A server whose streams break."""

    def __post_init__(self) -> None:
        self.serve(_BreakingHandler)


@pytest.fixture(scope="module")
def breaking() -> Iterator[Breaking]:
    with Breaking() as server:
        yield server


@pytest.fixture(scope="module")
def endless() -> Iterator[Endless]:
    with Endless() as server:
        yield server


def test_a_prompt_from_a_pipe_is_answered_on_standard_output(ollama: Ollama) -> None:
    read, write = os.pipe()
    with os.fdopen(write, "wb") as pipe:
        pipe.write("Grüße?".encode())
    with os.fdopen(read, "rb") as stdin:
        ended = run("generate", *target(ollama), stdin=stdin)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Ollama was asked: Grüße?\n", "")


@pytest.mark.skipif(not BASH, reason="needs bash")
def test_a_text_that_is_not_read_is_noted(ollama: Ollama, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a text", encoding="utf-8")
    command = f"{' '.join(PROGRAM)} generate {' '.join(target(ollama))} Hi"
    note = "unified-llm: standard input was not read: add - to the command to make it a part of the prompt\n"
    for redirection in (f"< {tmp_path}/text", f"< <(cat {tmp_path}/text)"):
        assert shell(f"{command} {redirection}").stderr == note
    for redirection in ("< /dev/null", "<&-", f"- < {tmp_path}/text", "< <(sleep 60 2>&-)"):
        ended = shell(f"{command} {redirection}")
        assert (ended.returncode, ended.stderr) == (0, "")


def test_exit_codes_tell_a_failed_call_from_a_wrong_command(ollama: Ollama) -> None:
    refused = run("generate", "-m", "openai-compatible/m", "-u", "http://127.0.0.1:9", "Hi")
    assert refused.returncode == 1
    assert refused.stderr.startswith("unified-llm: error: openai-compatible/m: no connection to 127.0.0.1:9")
    wrong = run("generate", *target(ollama), "--temprature", "1", "Hi")
    assert wrong.returncode == 2
    assert "--temperature" in wrong.stderr
    for ended in (refused, wrong):
        assert (ended.stdout, ended.stderr.count("\n")) == ("", 1)


@pytest.mark.skipif(not BASH, reason="needs bash")
def test_a_reader_that_is_gone_ends_the_program_without_a_word(endless: Endless) -> None:
    program = " ".join(PROGRAM)
    ended = shell(f"{program} generate {' '.join(endless.arguments)} --stream go | head -1; echo ${{PIPESTATUS[0]}}")
    assert (ended.stdout, ended.stderr) == ("word 0\n0\n", "")
    ended = shell(f"{program} generate --help | head -1")
    assert (ended.stdout.count("\n"), ended.stderr) == (1, "")
    ended = shell(f"{program} generate --help | true; echo ${{PIPESTATUS[0]}}")
    assert (ended.stdout, ended.stderr) == ("0\n", "")


@pytest.mark.skipif(not BASH, reason="needs bash")
def test_an_error_begins_a_line_of_a_file_that_has_the_response_as_well(breaking: Breaking) -> None:
    ended = shell(f"{' '.join(PROGRAM)} generate {' '.join(breaking.arguments)} --stream go 2>&1 | cat")
    first, second, rest = ended.stdout.split("\n")
    assert (first, rest) == ("a word", "")
    assert second.startswith("unified-llm: error: openai-compatible/m: the stream broke after it had begun")
    assert ".partial" not in second


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")
def test_an_output_that_cannot_be_written_is_one_line(ollama: Ollama) -> None:
    command = f"{' '.join(PROGRAM)} generate {' '.join(target(ollama))} Hi"
    full = shell(f"{command} >/dev/full")
    line = "unified-llm: error: the output cannot be written: No space left on device\n"
    assert (full.returncode, full.stderr) == (1, line)
    closed = shell(f"{command} >&-")
    assert (closed.returncode, closed.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
@pytest.mark.parametrize("prompt", ["go", "wait"])
def test_ctrl_c_ends_the_program_without_a_word(endless: Endless, prompt: str) -> None:
    endless.asked.clear()
    process = subprocess.Popen(
        [*PROGRAM, "generate", *endless.arguments, "--stream", prompt],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    with killed_at_the_end(process):
        assert process.stdout is not None
        if prompt == "go":
            assert process.stdout.readline() == "word 0\n"
        else:
            assert endless.asked.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (130, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_ends_watching_without_a_word(ollama: Ollama) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "health", "-p", "ollama", "-u", ollama.address, "--watch", "--json"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    with killed_at_the_end(process):
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())[0]["ok"]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (130, "")


@in_a_terminal
def test_colours_are_for_terminals_alone(ollama: Ollama) -> None:
    command = [*PROGRAM, "health", "-p", "ollama", "-u", ollama.address]
    for variables, styled in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        with Terminal(command, environment(**variables)) as terminal:
            assert terminal.wait() == 0
            assert ("\x1b[" in terminal.shown) is styled
            assert "ollama" in terminal.shown
    assert "\x1b[" not in run(*command[3:]).stdout
    assert "\x1b[" in run(*command[3:], FORCE_COLOR="1").stdout


@in_a_terminal
def test_a_conversation_at_a_terminal(ollama: Ollama) -> None:
    with Terminal([*PROGRAM, "chat", *target(ollama)], environment(NO_COLOR="1")) as terminal:
        terminal.wait_for(">>> ")
        terminal.press("Hello\n")
        assert "Ollama was asked: Hello\n" in terminal.wait_for(">>> ")
        terminal.press(CTRL_D)
        assert terminal.wait() == 0


@in_a_terminal
def test_lines_that_are_pasted_are_one_message(ollama: Ollama) -> None:
    with Terminal([*PROGRAM, "chat", *target(ollama)], environment(NO_COLOR="1")) as terminal:
        terminal.wait_for(">>> ")
        terminal.press("\x1b[200~one\ntwo\x1b[201~")
        terminal.wait_for("two")
        terminal.press("\n")
        assert "Ollama was asked: one\ntwo\n" in terminal.wait_for(">>> ")
        terminal.press(CTRL_D)
        assert terminal.wait() == 0


@in_a_terminal
def test_ctrl_c_stops_an_answer_and_ends_the_program_at_the_prompt(endless: Endless) -> None:
    with Terminal([*PROGRAM, "chat", *endless.arguments], environment(NO_COLOR="1")) as terminal:
        terminal.wait_for(">>> ")
        terminal.press("go\n")
        terminal.wait_for("word 3")
        terminal.press(CTRL_C)
        assert "^C\nunified-llm: stopped\n" in terminal.wait_for(">>> ")
        time.sleep(2.0)  # Python notices a signal that comes before it waits for a key with the next key
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.shown


def with_program(folder: Path) -> dict[str, str]:
    """Return variables with which a shell finds the program under its name."""
    program = folder / "unified-llm"
    program.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    return environment(PATH=path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")


def completions(folder: Path, words: Sequence[str]) -> list[str]:
    """Return what bash offers for the last of these words, by the script that the program prints."""
    line = " ".join(words)
    driver = f"""
eval "$(unified-llm --show-completion bash)"
COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}
$(complete -p unified-llm | sed 's/.*-F \\([^ ]*\\).*/\\1/') unified-llm
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    return shell(driver, with_program(folder)).stdout.split()


@pytest.mark.skipif(not BASH, reason="needs bash")
def test_bash_completes_commands_options_providers_and_models(tmp_path: Path) -> None:
    assert completions(tmp_path, ["unified-llm", "gen"]) == ["generate"]
    assert "--max-tokens" in completions(tmp_path, ["unified-llm", "generate", "--ma"])
    assert completions(tmp_path, ["unified-llm", "generate", "--provider", "olla"]) == ["ollama"]
    assert "openai/gpt-5-mini" in completions(tmp_path, ["unified-llm", "generate", "-m", "openai/gpt-5"])


@pytest.mark.skipif(not FISH, reason="needs fish")
def test_fish_completes_providers(tmp_path: Path) -> None:
    assert FISH
    command = "unified-llm --show-completion fish | source; complete -C 'unified-llm generate -p olla'"
    ended = subprocess.run(
        [FISH, "-c", command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=with_program(tmp_path),
    )
    assert ended.stdout == "ollama\tOllama\n"


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_other_shells_accept_the_script_of_their_completion(name: str, tmp_path: Path) -> None:
    program = shutil.which(name)
    if not program:
        pytest.skip(f"needs {name}")
    ended = run("--show-completion", name, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    (tmp_path / "script").write_text(ended.stdout, encoding="utf-8")
    checked = subprocess.run([program, "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
