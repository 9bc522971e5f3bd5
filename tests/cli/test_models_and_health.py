"""``models`` and ``health``: the providers that are looked at, and what is printed of them."""

from __future__ import annotations

import json
from typing import Any

import pytest  # noqa: TC002 - as in the other files of tests

from tests.support.command_line import Ended, run
from tests.support.scripted_targets import ScriptedTargets
from unified_llm._client.local_servers import LocalServer
from unified_llm._core.outcome import Done, Failure
from unified_llm.types import ModelInfo

LLAMA = ModelInfo("llama3.2", "ollama", context_window=131072, features=frozenset({"tools", "streaming"}))
OLLAMA = LocalServer("ollama", "http://127.0.0.1:11434/v1", (LLAMA,), certain=True)


def listing(*models: ModelInfo) -> list[Any]:
    return [[Done((models, None))]]


def command(*arguments: str, scripts: dict[str, list[Any]], **streams: Any) -> Ended:
    """Return how a command ended with providers that have these lists."""
    with ScriptedTargets(scripts).running():
        return run(*arguments, **streams)


def test_the_models_of_a_provider_are_a_table_or_json() -> None:
    scripts = {"ollama": listing(LLAMA, ModelInfo("qwen3:4b", "ollama"))}
    ended = command("models", "--provider", "ollama", scripts=scripts)
    table = """\
MODEL            CONTEXT  FEATURES
ollama/llama3.2  131,072  streaming, tools
ollama/qwen3:4b
"""
    assert ended == Ended(0, table, "")
    [first, _] = json.loads(command("models", "-p", "ollama", "--json", scripts=scripts).out)
    assert (first["model"], first["context_window"]) == ("ollama/llama3.2", 131072)
    assert first["features"] == ["streaming", "tools"]


def test_without_a_provider_all_that_can_be_used_are_listed(
    servers: list[LocalServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.append(OLLAMA)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890abcdef")
    scripts = {"ollama": listing(LLAMA), "openai": listing(ModelInfo("gpt-5-mini", "openai")), "mlx": listing()}
    ended = command("models", scripts=scripts)
    assert [line.split()[0] for line in ended.out.splitlines()] == ["MODEL", "ollama/llama3.2", "openai/gpt-5-mini"]
    assert command("models", "--local", scripts=scripts).out.count("\n") == 2
    checks = json.loads(command("health", "--json", scripts=scripts).out)
    assert {row["provider"]: row["ok"] for row in checks}.items() >= {"ollama": True, "openai": True}.items()


def test_a_provider_that_does_not_respond_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890abcdef")
    monkeypatch.setenv("GROQ_API_KEY", "gsk_1234567890abcdef")
    scripts = {"openai": [Failure("auth", 401)], "groq": listing(ModelInfo("llama", "groq")), "mlx": listing()}
    ended = command("models", scripts=scripts)
    assert ended.code == 0
    assert "groq/llama" in ended.out
    assert "unified-llm: openai: " in ended.err
    ended = command("models", "-p", "openai", scripts=scripts)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)


def test_a_limit_alone_names_no_provider(servers: list[LocalServer]) -> None:
    servers.append(OLLAMA)
    assert command("health", "--timeout", "1", scripts={"ollama": listing(LLAMA)}).code == 0


def test_a_fallback_needs_a_model() -> None:
    ended = command("models", "--fallback", "ollama/llama3.2", scripts={})
    assert ended == Ended(2, "", "unified-llm: error: --fallback is given without --model\n")


def test_a_feature_that_does_not_exist_gets_a_suggestion() -> None:
    ended = command("models", "-p", "ollama", "--supports", "tool", scripts={"ollama": listing(LLAMA)})
    assert ended.code == 2
    assert "did you mean 'tools'?" in ended.err


def test_a_server_that_does_not_name_its_program_is_a_note(servers: list[LocalServer]) -> None:
    servers.append(LocalServer("vllm", "http://127.0.0.1:8000/v1", (LLAMA,), certain=False))
    for name in ("models", "health"):
        ended = command(name, scripts={"vllm": listing(LLAMA), "mlx": listing()})
        assert ended.err.startswith("unified-llm: what answers at http://127.0.0.1:8000/v1 does not name itself; vllm")


def test_an_empty_list_is_a_note() -> None:
    ended = command("models", "-p", "ollama", scripts={"ollama": listing()})
    assert ended == Ended(0, "", "unified-llm: ollama: no model yet; load or pull one\n")
    ended = command("models", "-p", "ollama", "--supports", "embeddings", scripts={"ollama": listing(LLAMA)})
    assert ended == Ended(0, "", "unified-llm: ollama: no model supports that\n")


def test_a_provider_whose_configuration_is_wrong_has_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "0123456789abcdef")
    ended = command("health", scripts={})
    assert ended.out.splitlines()[1].split() == ["azure", "down", "-", "-"]
    [row] = json.loads(command("health", "--json", scripts={}).out)
    assert (row["models"], row["seconds"], row["ok"]) == (None, None, False)
    assert command("models", scripts={}).err.startswith("unified-llm: azure is not configured: no URL")


def test_nothing_to_look_at_says_what_to_do() -> None:
    for name in ("models", "health"):
        ended = command(name, "--local", scripts={"mlx": listing()})
        assert ended.err.count("\n") <= 1


def test_health_is_a_table_whose_exit_code_says_whether_anything_responds() -> None:
    ended = command("health", "--provider", "ollama", scripts={"ollama": listing(LLAMA)})
    assert ended.code == 0
    assert ended.out.splitlines()[1].split() == ["ollama", "up", "1", "20", "ms", "http://127.0.0.1:11434/v1"]
    ended = command("health", "-p", "ollama", scripts={"ollama": [Failure("connect")]})
    assert ended.code == 1
    assert ended.out.splitlines()[1].split()[:2] == ["ollama", "down"]
    assert ended.err.startswith("unified-llm: ollama: no connection to 127.0.0.1:11434 could be made")
    chain = ["health", "-m", "ollama/llama3.2", "--fallback", "lmstudio/x"]
    ended = command(*chain, scripts={"ollama": [Failure("connect")], "lmstudio": listing()})
    assert ended.code == 0, "one of them responds"


def test_watching_checks_again_until_it_is_interrupted() -> None:
    scripts = {"vllm": [*listing(LLAMA), Failure("connect"), [KeyboardInterrupt()]]}
    ended = command("health", "-p", "vllm", "--watch", "--json", scripts=scripts)
    assert ended.code == 130
    assert [json.loads(line)[0]["ok"] for line in ended.out.splitlines()] == [True, False]
    assert ended.err == ""
