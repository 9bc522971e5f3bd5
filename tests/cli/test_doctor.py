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


def test_it_asks_for_the_model_that_is_configured(servers: list[LocalServer], monkeypatch: pytest.MonkeyPatch) -> None:
    for model, scripts, advice in (
        ("ollama/llama3.2", {"ollama": [Failure("connect")]}, "1.  ollama: no connection to 127.0.0.1:11434"),
        ("ollama/qwen3", {"ollama": LISTED}, "1.  ollama has no model qwen3: pull it, or choose one of"),
        ("openai/gpt-5-mini", {}, "1.  openai/gpt-5-mini is not configured: no API key (set OPENAI_API_KEY"),
        ("nonsense", {}, "1.  'nonsense' names no known provider"),
    ):
        monkeypatch.setenv("UNIFIED_LLM_MODEL", model)
        ended = doctor(scripts=scripts)
        assert advice in ended.out, ended
        assert "no model can be used" not in ended.out
    monkeypatch.setenv("UNIFIED_LLM_MODEL", "openai/gpt-5-mini")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-with a blank")
    assert doctor().out.count("OPENAI_API_KEY has a space") == 1
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("UNIFIED_LLM_MODEL", "ollama/llama3.2")
    servers.append(OLLAMA)
    ended = doctor(scripts={"ollama": LISTED})
    assert ended.out.endswith("Nothing is wrong.\n")
    assert ended.out.count("127.0.0.1:11434") == 1, "it is asked once"


def test_a_server_whose_address_is_configured_is_asked_although_the_search_found_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("VLLM_BASE_URL", "http://192.168.7.7:8000")
    scripts: dict[str, list[Any]] = {"ollama": [Failure("connect")], "vllm": LISTED}
    ended = doctor("--local", scripts=scripts)
    assert (ended.code, "ollama: no connection to 127.0.0.1:9" in ended.out) == (1, True)
    assert "192.168.7.7:8000/v1  " not in ended.out
    assert doctor(scripts=scripts).code == 0


def test_a_provider_of_the_command_is_all_that_is_asked() -> None:
    report = json.loads(doctor("-p", "ollama", "--json", scripts={"ollama": LISTED}).out)
    assert [row["provider"] for row in report["providers"]] == ["ollama"]
