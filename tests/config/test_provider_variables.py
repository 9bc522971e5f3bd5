"""Variables of one provider, folders of MLX, and the other name of the fallbacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient, LLMConfig, configure
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM

KEY = "sk-CANARY-0123456789"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AZURE_OPENAI_API_KEY",
        "AZURE_API_KEY",
        "AZURE_OPENAI_AD_TOKEN",
        "AZURE_AD_TOKEN",
        "OPENAI_API_VERSION",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with two models."""
    for name in ("Qwen3-4B-4bit", "Llama-3B"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "llama"}')
    return tmp_path


def test_azure_finds_its_key_and_its_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://eu.openai.azure.com")
    monkeypatch.setenv("AZURE_OPENAI_KEY", KEY)
    assert LLMClient(provider="azure").targets[0].model == ""
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT", "my-gpt")
    (target,) = LLMClient(provider="azure").targets
    assert (target.name, target.key and target.key.reveal()) == ("azure/my-gpt", KEY)
    assert LLMClient(provider="azure", model="other").targets[0].model == "other"
    client = LLMClient("openai/gpt-4o", api_key=KEY, fallbacks=[{"provider": "azure"}])
    for model in (None, "gpt-5"):
        assert client._chain_of(model, client.options).targets[1].name == "azure/my-gpt"


def test_the_timeout_of_ollama(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_TIMEOUT", "61")
    monkeypatch.setenv("UNIFIED_LLM_TIMEOUT", "33")
    ollama, vllm = LLMClient("ollama/x", fallbacks=["vllm/x"]).targets
    assert (ollama.timing.whole, vllm.timing.whole) == (61.0, 33.0)
    assert LLMClient("ollama/x", timeout=5).targets[0].timing.whole == 5.0
    configure(timeout=7)
    assert LLMClient("ollama/x").targets[0].timing.whole == 7.0
    configure(timeout=None)
    for wrong in ("soon", "-1", "0"):
        monkeypatch.setenv("OLLAMA_TIMEOUT", wrong)
        with pytest.raises(ConfigurationError, match="OLLAMA_TIMEOUT"):
            LLMClient("ollama/x")


def test_models_of_mlx_are_looked_for_below_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLX_MODEL_PATH", str(folder))
    for name in ("Llama-3B", "mlx-community/Llama-3B"):
        LLMClient(f"mlx/{name}")
    with pytest.raises(ConfigurationError, match="no such folder"):
        LLMClient("mlx/Other")
    assert LLMClient(provider="mlx").targets[0].model == "", "which of two models"
    monkeypatch.setenv("VISION_MODEL", "Llama-3B")
    assert LLMClient(provider="mlx").targets[0].model == "Llama-3B"
    monkeypatch.setenv("MLX_MODEL_PATH", str(folder / "Qwen3-4B-4bit"))
    assert LLMClient(provider="mlx").targets[0].model == str(folder / "Qwen3-4B-4bit")


def test_a_folder_is_the_address_of_mlx(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = folder / "Llama-3B"
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder))
    given: list[Any] = [
        model,
        str(model),
        model.as_uri(),
        "~/Llama-3B",
        f"./{folder.name}/Llama-3B",
        f"{folder.name}/Llama-3B",
    ]
    for base_url in given:
        (target,) = LLMClient(LLMConfig(provider="mlx", base_url=base_url)).targets
        assert Path(target.model).resolve() == model.resolve()
        assert target.base_url == ""
    for surface in (LLMClient, ChatUnified, UnifiedLLM):
        surface(provider="mlx", base_url=str(folder), model="Llama-3B")
    with pytest.raises(ConfigurationError, match="no folder of the model's name"):
        LLMClient(provider="mlx", base_url=str(folder), model="Other")


@each(
    ("fields", "message"),
    [
        ({"provider": "mlx", "base_url": "http://127.0.0.1:8080"}, 'provider="openai-compatible"'),
        ({"provider": "ollama", "base_url": "/models/llama"}, "must begin with https://"),
        ({"provider": "ollama", "base_url": "localhost/v1"}, "must begin with https://"),
        ({"model": "openai/x", "endpoint": "https://h.example"}, "base_url="),
        ({"model": "openai/x", "azure_endpoint": "https://h.example"}, "base_url="),
        ({"model": "openai/x", "deployment_name": "d"}, "azure/<deployment>"),
        ({"model": "openai/x", "backups": []}, "fallbacks="),
    ],
)
def test_what_is_meant_is_said(fields: dict[str, Any], message: str) -> None:
    for surface in (LLMConfig, LLMClient, ChatUnified, UnifiedLLM):
        with pytest.raises(ConfigurationError) as refused:
            surface(**fields)
        assert message in str(refused.value)


def test_the_fallbacks_have_another_name() -> None:
    config = LLMConfig(provider="ollama", fallback_configs=None)
    assert config.fallback_configs == ()
    config = LLMConfig(provider="ollama", fallback_configs=["lmstudio/x"])
    assert config.fallback_configs == config.fallbacks == ("lmstudio/x",)
    assert LLMClient(config).fallback_configs == ("lmstudio/x",)
    assert LLMClient(config, fallback_configs=["vllm/x"]).fallback_configs == ("lmstudio/x", "vllm/x")
    assert LLMClient("ollama/x", fallback_configs=None).fallback_configs == ()
    for surface in (ChatUnified, UnifiedLLM):
        chat = surface(model="ollama/x", fallback_configs=["lmstudio/x"])
        assert tuple(chat.fallback_configs) == ("lmstudio/x",)
        assert len(chat.client.targets) == 2
        assert surface(model="ollama/x", fallback_configs=None).client.fallback_configs == ()
