"""``--config``: what a file sets for a command."""

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


def test_an_address_in_a_command_replaces_that_of_the_file(settings: Path) -> None:
    settings.write_text(json.dumps({"provider": "ollama", "model": "llama3.2"}), encoding="utf-8")
    assert generate("--config", str(settings), "-u", "http://127.0.0.1:5")[1] == [OLLAMA]
