"""Variables and names that the designs give: for Ollama's time, models of MLX and deployments of Azure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient, LLMConfig, configure
from unified_llm._config import mlx_targets
from unified_llm.exceptions import ConfigurationError, ValidationError

KEY = "sk-CANARY-of-a-deployment"


@pytest.fixture(autouse=True)
def _platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take this machine for one that has MLX, and no variable for set."""
    monkeypatch.setattr("unified_llm._backends.mlx.unavailable_reason", lambda: None)
    for name in ("OLLAMA_TIMEOUT", "MLX_MODEL_PATH", "VISION_MODEL", "AZURE_OPENAI_DEPLOYMENT"):
        monkeypatch.delenv(name, raising=False)


def model_folder(parent: Path, name: str = "Qwen3-4B-4bit") -> Path:
    folder = parent / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen3"}', encoding="utf-8")
    return folder


def test_local_servers_are_at_their_usual_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_BASE", "LMSTUDIO_BASE_URL", "LM_STUDIO_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    client = LLMClient("ollama/llama2:7b", fallbacks=["lmstudio/llama2:7b"])
    assert [target.base_url for target in client.targets] == ["http://127.0.0.1:11434/v1", "http://127.0.0.1:1234/v1"]


def test_ollama_has_a_time_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_TIMEOUT", "45")
    monkeypatch.setenv("UNIFIED_LLM_TIMEOUT", "20")
    client = LLMClient("ollama/llama3.2", fallbacks=["lmstudio/m", {"model": "ollama/m", "timeout": 7}])
    assert [target.timing.first_token for target in client.targets] == [45, 20, 7]


@pytest.mark.parametrize("value", ["soon", "-1", "0"])
def test_a_time_limit_that_is_none_is_refused_with_the_name_of_the_variable(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OLLAMA_TIMEOUT", value)
    with pytest.raises(ConfigurationError, match="OLLAMA_TIMEOUT"):
        LLMClient("ollama/llama3.2")


def test_a_model_of_mlx_is_a_folder_in_base_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path / "models")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for base_url in (str(folder), folder.as_uri(), f"~/models/{folder.name}", f"models/{folder.name}"):
        (target,) = LLMClient(LLMConfig(provider="mlx", base_url=base_url)).targets
        assert Path(target.model).resolve() == folder
    with pytest.raises(ConfigurationError, match="base_url"):
        LLMClient(LLMConfig(provider="mlx", base_url="https://models.example/m"))


def test_models_of_mlx_are_looked_for_below_the_folder_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder(tmp_path)
    monkeypatch.setenv("MLX_MODEL_PATH", str(tmp_path))
    assert LLMClient(f"mlx/{folder.name}").targets
    assert mlx_targets.default_mlx_model() == str(folder)
    (target,) = LLMClient(LLMConfig(provider="mlx")).targets
    assert target.model == str(folder)


def test_azure_takes_key_and_deployment_from_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_OPENAI_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT", "my-deployment")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://contoso.openai.azure.com")
    (target,) = LLMClient(provider="azure").targets
    assert (target.model, target.key and target.key.reveal()) == ("my-deployment", KEY)


@each(
    ("name", "advice"),
    [("endpoint", "base_url="), ("deployment_name", 'model="azure/'), ("backups", "fallbacks=")],
)
def test_names_of_the_designs_are_answered_with_ours(name: str, advice: str) -> None:
    fields: dict[str, Any] = {name: "x"}
    for make in (LLMConfig, LLMClient):
        with pytest.raises(ConfigurationError, match=advice):
            make(model="azure/m", **fields)
    with pytest.raises(ConfigurationError, match=advice):
        configure(**fields)
    with pytest.raises(ValidationError, match=advice):
        LLMClient("azure/m", base_url="https://contoso.openai.azure.com", api_key=KEY).generate("x", **fields)
