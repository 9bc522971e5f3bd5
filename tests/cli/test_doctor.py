"""``doctor``: what it reports, and what it advises."""

from __future__ import annotations

import json
from typing import Any

import pytest  # noqa: TC002 - as in the other files of tests

from tests.support.command_line import Ended, run
from tests.support.scripted_targets import ScriptedTargets
from unified_llm._client.local_servers import LocalServer
from unified_llm._core.outcome import Done, Failure
from unified_llm.types import ModelInfo

LLAMA = ModelInfo("llama3.2", "ollama")
OLLAMA = LocalServer("ollama", "http://127.0.0.1:11434/v1", (LLAMA,), certain=True)
LISTED: list[Any] = [[Done(((LLAMA,), None))]]


def doctor(*arguments: str, scripts: dict[str, list[Any]] | None = None) -> Ended:
    """Return how ``doctor`` ended with providers that have these lists."""
    with ScriptedTargets({"mlx": [[Done(((), None))]], **(scripts or {})}).running():
        return run("doctor", *arguments)


def test_with_nothing_it_says_how_to_begin() -> None:
    ended = doctor()
    assert (ended.code, ended.err) == (1, "")
    assert "Without --model     none: a command must name its model" in ended.out
    assert "1.  no model can be used: start a local server such as Ollama" in ended.out
    assert "--model mlx/demo" in ended.out


def test_it_names_what_a_command_without_a_model_uses(
    servers: list[LocalServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.append(OLLAMA)
    ended = doctor(scripts={"ollama": LISTED})
    assert (ended.code, ended.err) == (0, "")
    assert "Without --model     the first model of ollama at http://127.0.0.1:11434/v1" in ended.out
    assert ended.out.endswith("Nothing is wrong.\n")
    monkeypatch.setenv("UNIFIED_LLM_MODEL", "openai/gpt-5-mini")
    assert "Without --model     openai/gpt-5-mini" in doctor(scripts={"ollama": LISTED}).out


def test_it_advises_for_each_provider_that_cannot_be_used(
    servers: list[LocalServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    servers += [
        LocalServer("ollama", OLLAMA.base_url, (), certain=True),
        LocalServer("vllm", "http://127.0.0.1:8000/v1", (), certain=False),
    ]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890abcdef")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example:3128")
    scripts: dict[str, list[Any]] = {"ollama": [[Done(((), None))]], "vllm": LISTED, "openai": [Failure("auth", 401)]}
    report = json.loads(doctor("--json", scripts=scripts).out)
    advice = "\n".join(report["advice"])
    assert "ollama responds but has no model: load or pull one" in advice
    assert "something at http://127.0.0.1:8000/v1 has a model list: --provider vllm uses it" in advice
    assert "openai: " in advice
    assert "azure" in advice
    assert "set UNIFIED_LLM_MODEL to use a model without naming it" in advice
    assert report["settings"]["HTTPS_PROXY"] == "set"
    assert "secret" not in json.dumps(report)


def test_a_provider_of_the_command_is_all_that_is_asked() -> None:
    report = json.loads(doctor("-p", "ollama", "--json", scripts={"ollama": LISTED}).out)
    assert [row["provider"] for row in report["providers"]] == ["ollama"]
