"""``mlx list``, and what the other commands say of models in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_doctor import doctor
from unified_llm._backends import mlx
from unified_llm._backends.mlx import local_models
from unified_llm.cli import main

INDEX = "model.safetensors"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache on a machine with MLX that knows one type of models."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("MLX_MODEL_PATH", raising=False)
    monkeypatch.setattr(mlx, "unavailable_reason", lambda: None)
    monkeypatch.setattr(local_models, "unavailable_reason", lambda: None)
    monkeypatch.setattr("unified_llm._backends.mlx.loading.has_gpu", lambda: True)
    monkeypatch.setattr("unified_llm._backends.mlx.memory.default_limit", lambda: 2 * 10**9)
    monkeypatch.setattr(local_models, "known_types", lambda _: frozenset({"qwen3"}))
    return tmp_path / "hub"


def download(cache: Path, name: str, *, commit: str = "c" * 40) -> Path:
    """Put a model into the cache, and return its folder there."""
    model = cache / f"models--{name.replace('/', '--')}"
    snapshot = model / "snapshots" / commit
    snapshot.mkdir(parents=True)
    config = {
        "model_type": "qwen3", "max_position_embeddings": 40_960, "quantization": {"bits": 4, "group_size": 64},
    }  # fmt: skip
    (snapshot / "config.json").write_text(json.dumps(config))
    (snapshot / "tokenizer.json").write_text("{}")
    (snapshot / "tokenizer_config.json").write_text('{"chat_template": "x"}')
    with (snapshot / INDEX).open("wb") as weights:
        weights.truncate(2_300_000_000)
    return model


def test_models_are_listed_with_size_quantization_window_and_whether_they_fit(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    download(cache, "mlx-community/Qwen3-4B-4bit")
    (download(cache, "org/other") / f"unverified-{'c' * 40}").touch()
    assert main(["mlx", "list"]) == 0
    printed = capsys.readouterr()
    heading, demo, model = [line.split() for line in printed.out.splitlines()]
    assert heading[:4] == ["MODEL", "SIZE", "QUANTIZATION", "CONTEXT"]
    assert demo[:3] == ["mlx/demo", "1.7", "MB"]
    assert demo[-1] == "yes"
    assert " ".join(model) == "mlx/mlx-community/Qwen3-4B-4bit 2.3 GB 4-bit, group size 64 40,960 no"
    assert "models may take 2.0 GB of memory together: memory_limit raises that" in printed.err
    assert "the download of org/other is not whole: unified-llm mlx pull org/other finishes it" in printed.err
    assert main(["mlx", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)[1]
    facts = {name: listed[name] for name in ("model", "size", "quantization", "context_window", "memory", "fits")}
    assert facts == {
        "model": "mlx/mlx-community/Qwen3-4B-4bit",
        "size": 2_300_000_000,
        "quantization": "4-bit, group size 64",
        "context_window": 40_960,
        "memory": 2_300_000_000,
        "fits": False,
    }
    monkeypatch.setenv("UNIFIED_LLM_MEMORY_LIMIT", "4GB")
    assert main(["mlx", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[-1] == "yes"
    assert main(["models", "--provider", "mlx"]) == 0
    assert "2.3 GB" in capsys.readouterr().out


def test_without_a_download_the_command_for_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mlx", "list"]) == 0
    assert "unified-llm mlx pull mlx-community/Qwen3-4B-4bit gets one" in capsys.readouterr().err
    assert main(["generate", "--provider", "mlx", "Hello"]) == 2
    assert "none was downloaded: run unified-llm mlx pull" in capsys.readouterr().err


def test_the_doctor_says_why_models_in_this_process_cannot_be_used(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(cache, "org/cut").joinpath(f"unverified-{'c' * 40}").touch()
    assert "the download of org/cut is not whole: run unified-llm mlx pull org/cut" in doctor("--local").out
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("MLX_MODEL_PATH", "/absent")
    assert "MLX_MODEL_PATH names what is no folder: /absent" in doctor("--local").out
    monkeypatch.setenv("MLX_MODEL_PATH", str(tmp_path))
    assert "no folder of MLX_MODEL_PATH has a model that can run here" in doctor("--local").out
    monkeypatch.setattr(mlx, "unavailable_reason", lambda: "MLX is not installed: run pip.")
    assert "MLX is not installed: run pip." in doctor("--local").out
