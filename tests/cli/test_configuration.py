"""``--config``: what a file sets for a command; and ``config``, which shows and checks it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Ended, run
from tests.support.scripted_targets import ScriptedTargets, say

OLLAMA = "ollama/llama3.2"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "llm_config.json"


def generate(*arguments: str) -> tuple[Ended, list[str], list[Any]]:
    """Return how ``generate`` ended, the targets that were asked, and their requests."""
    targets = ScriptedTargets({OLLAMA: [say("Hi.")], "ollama/qwen3": [say("Hi.")]})
    with targets.running():
        ended = run("generate", *arguments, "Hello")
    return ended, targets.names, [request for _, request in targets.asked]


def test_a_file_may_be_one_target(settings: Path) -> None:
    settings.write_text(json.dumps({"provider": "ollama", "model": "llama3.2", "temperature": 0.5}), encoding="utf-8")
    ended, names, [request] = generate("--config", str(settings))
    assert (ended, names) == (Ended(0, "Hi.\n", ""), [OLLAMA])
    assert [message.text for message in request.messages] == ["Hello"]
    assert generate("--config", str(settings), "-m", "ollama/qwen3")[1] == ["ollama/qwen3"]


def test_a_file_may_have_profiles(settings: Path) -> None:
    settings.write_text(json.dumps({"profiles": {"local": {"model": OLLAMA}}}), encoding="utf-8")
    assert generate("--config", str(settings), "--model", "@local")[1] == [OLLAMA]
    ended, _, _ = generate("--config", str(settings))
    assert ended.code == 2
    assert f"use a profile of {settings} (--model @local)" in ended.err
    ended, _, _ = generate("--config", str(settings), "--model", "@locl")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert 'did you mean "@local"?' in ended.err


def test_a_file_that_is_wrong_is_one_line_and_exit_code_2(settings: Path) -> None:
    ended, _, _ = generate("--config", str(settings))
    assert ended == Ended(2, "", f"unified-llm: error: There is no file {settings}, which --config names.\n")
    settings.write_text('{\n"temprature": 1\n}', encoding="utf-8")
    ended, _, _ = generate("--config", str(settings))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert f"{settings}, line 2: " in ended.err
    assert "did you mean 'temperature'?" in ended.err


def test_an_error_of_a_file_names_its_fields_rather_than_options(settings: Path) -> None:
    content = '{"providers": {"openai": {"base_url": "https://user:secret@llm.example"}}}'
    settings.write_text(content, encoding="utf-8")
    ended, _, _ = generate("--config", str(settings))
    assert (ended.code, "base_url= holds a user name" in ended.err, "--" in ended.err) == (2, True, False)
    assert "secret" not in ended.err


def test_an_address_in_a_command_replaces_that_of_the_file(settings: Path) -> None:
    settings.write_text(json.dumps({"provider": "ollama", "model": "llama3.2"}), encoding="utf-8")
    assert generate("--config", str(settings), "-u", "http://127.0.0.1:5")[1] == [OLLAMA]


def test_what_holds_is_shown_with_its_source_and_without_keys(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-1234567890")
    monkeypatch.setenv("UNIFIED_LLM_TIMEOUT", "30")
    monkeypatch.setenv("UNIFIED_LLM_RPM", "60")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(settings.parent))
    empty = run("config", "show")
    assert [line.split() for line in empty.out.splitlines()[3:]] == [
        ["SETTING", "VALUE", "SOURCE"],
        ["timeout", "30", "UNIFIED_LLM_TIMEOUT"],
        ["rpm", "60", "UNIFIED_LLM_RPM"],
        ["openai.api_key", "set", "(OPENAI_API_KEY)", "OPENAI_API_KEY"],
    ]
    settings.write_text(json.dumps({"defaults": {"temperature": 0.5}, "profiles": {"a": {"model": OLLAMA}}}))
    shown = run("config", "show", "--config", str(settings))
    assert f"temperature     0.5                   {settings}:1" in shown.out
    assert f"@a              {OLLAMA}" in shown.out
    assert "sk-canary" not in empty.out + shown.out
    rows = {row["name"]: row for row in json.loads(run("config", "show", "--all", "--json").out)["settings"]}
    assert rows["max_retries"] == {"name": "max_retries", "value": "", "source": "default"}


def test_a_file_is_checked(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(settings.parent))
    none = run("config", "check")
    assert (none.code, none.out) == (0, "")
    settings.write_text('{"defaults": {"temperature": 0.5}}', encoding="utf-8")
    assert run("config", "check", str(settings)) == Ended(0, f"{settings} is right.\n", "")
    settings.write_text('{"defaults": {"temprature": 0.5}}', encoding="utf-8")
    wrong = run("config", "check", str(settings))
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "line 1: " in wrong.err


def test_the_places_of_a_file_are_listed(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(settings.parent))
    settings.write_text("{}", encoding="utf-8")
    read, *others = run("config", "path", "--config", str(settings)).out.splitlines()[1:]
    assert read.split() == [str(settings), "read", "--config"]
    assert len(others) == 3
    assert others[0].split()[1:3] == ["not", "there"]


def test_a_command_that_is_missing_is_asked_for() -> None:
    expected = "unified-llm: error: A command is missing: unified-llm config --help lists them.\n"
    assert run("config") == Ended(2, "", expected)
