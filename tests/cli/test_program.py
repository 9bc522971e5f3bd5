"""The program: its help, its version, and what it says without its extra."""

from __future__ import annotations

import io
import json
import re
import sys
from contextlib import redirect_stdout

import pytest  # noqa: TC002 - as in the other files of tests

import unified_llm
from tests.support.command_line import run
from unified_llm.cli._outcome import describe
from unified_llm.cli._terminal import Terminal


def test_without_arguments_it_shows_its_help() -> None:
    ended = run()
    assert (ended.code, ended.err) == (0, "")
    assert "unified-llm [OPTIONS] COMMAND" in ended.out
    assert ended.out == run("--help").out


def test_the_version_is_an_option_as_well() -> None:
    assert run("--version").out == f"unified-llm {unified_llm.__version__}\n"


def test_an_unknown_command_gets_a_suggestion() -> None:
    ended = run("genrate", "Hi")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("unified-llm: error: No such command 'genrate'.")
    assert "Did you mean 'generate'?" in ended.err


def test_help_names_no_types() -> None:
    for command in ("generate", "embed"):
        ended = run(command, "--help")
        assert (ended.code, "list[" in ended.out, "standard input" in ended.out) == (0, False, True)


def test_a_table_keeps_its_narrow_columns_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = io.StringIO()
    with redirect_stdout(out):
        row = ("lmstudio", "up", "12", "1.25 s", "http://127.0.0.1:1234/v1")
        Terminal().show_table(("PROVIDER", "STATUS", "MODELS", "TIME", "ADDRESS"), [row])
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert ["lmstudio", "up", "12", "1.25", "s", "http:/"] in rows


def test_an_option_before_the_command_is_told_its_place() -> None:
    for option in (["-m", "ollama/llama3.2"], ["--config", "settings.yaml"]):
        ended = run(*option, "generate", "Hi")
        assert (ended.code, ended.out) == (2, "")
        says = rf"unified-llm: error: No such option:? '?{option[0]}'?\. "  # Click's words differ between versions
        assert re.fullmatch(rf"{says}Options follow the command: unified-llm generate --model MODEL\n", ended.err)
    assert "Options follow" not in run("generate", "--nonsense", "Hi").err


def test_a_file_that_cannot_be_used_is_named_with_the_reason() -> None:
    error = FileNotFoundError(2, "No such file or directory", "/proc/.bashrc")
    assert describe(error) == ("/proc/.bashrc cannot be used: No such file or directory", 1)


def test_the_version_lists_packages() -> None:
    ended = run("version")
    assert ended.code == 0
    assert re.search(rf"^unified-llm +{re.escape(unified_llm.__version__)}$", ended.out, re.MULTILINE)
    assert json.loads(run("version", "--json").out)["unified-llm"] == unified_llm.__version__


def test_without_its_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("unified_llm.cli.", "typer"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "typer", None)
    ended = run("generate", "Hi")
    message = 'unified-llm: error: the command line is not installed: run pip install "unified-llm[cli]"\n'
    assert (ended.code, ended.out, ended.err) == (2, "", message)
