"""Models in the local Hugging Face cache that MLX can run."""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient, ModelInfo
from unified_llm._backends.mlx import local_models, model_types
from unified_llm._backends.mlx.model_names import resolve_folder
from unified_llm._core.features import CHAT as CHAT_FEATURES
from unified_llm._core.features import JSON

QWEN = {"model_type": "qwen3", "max_position_embeddings": 40_960, "quantization": {"bits": 4, "group_size": 64}}
CHAT = {"chat_template": "{{ messages }}"}
DEMO = ModelInfo(
    "demo",
    "mlx",
    owned_by="unified-llm",
    context_window=1024,
    features=frozenset({"streaming", "models"}),
    family="llama",
    size=1_690_600,
)


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of Hugging Face, on a machine where MLX runs."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(local_models, "unavailable_reason", lambda: None)
    monkeypatch.setattr(local_models, "known_types", lambda _: frozenset({"qwen3", "llama", "mistral"}))
    return tmp_path


def download(hub: Path, name: str, config: Any = QWEN, *, without: str = "", **files: Any) -> None:
    """Put a model into the cache, as ``hf download`` does: the files are links to blobs."""
    model = hub / f"models--{name.replace('/', '--')}"
    snapshot, blobs = model / "snapshots" / "c0ffee", model / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("c0ffee", encoding="utf-8")
    contents = {"config.json": config, "tokenizer.json": {}, "tokenizer_config.json": CHAT, "model.safetensors": {}}
    for number, (file, content) in enumerate({**contents, **files}.items()):
        if file != without:
            (blobs / str(number)).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
            (snapshot / file).symlink_to(blobs / str(number))


def listed() -> list[str]:
    return [info.id for info in local_models.find_models()]


def test_downloaded_models_are_listed_after_the_demo_with_what_their_files_say(hub: Path) -> None:
    download(hub, "mlx-community/Qwen3-4B-4bit")
    download(hub, "BAAI/bge-small-en", {"architectures": ["BertModel"], "max_position_embeddings": 512})
    client = LLMClient("mlx/demo")
    expected = [
        DEMO,
        ModelInfo(
            "BAAI/bge-small-en",
            "mlx",
            owned_by="BAAI",
            context_window=512,
            features=frozenset({"embeddings", "models"}),
            size=2,
        ),
        ModelInfo(
            "mlx-community/Qwen3-4B-4bit",
            "mlx",
            owned_by="mlx-community",
            context_window=40_960,
            features=CHAT_FEATURES | {"as_text"} | (JSON if find_spec("llguidance") else frozenset()),
            family="qwen3",
            size=2,
            quantization="4-bit, group size 64",
        ),
    ]
    assert client.list_models() == expected
    assert asyncio.run(client.alist_models()) == expected
    assert [info.id for info in client.list_models(supports="embeddings")] == ["BAAI/bge-small-en"]
    download(hub, "somebody/another")
    assert len(client.list_models()) == 4, "a model that was downloaded since is there at once"


@each(
    "config, files",
    [
        ({"model_type": "whisper"}, {}),
        ({"model_type": "modernbert"}, {}),
        ({}, {}),
        ([], {}),
        ("{", {}),
        ({"model_type": ["qwen3"]}, {}),
        ({**QWEN, "model_file": "code.py"}, {}),
        ({"model_type": "qwen3", "quantization_config": {"quant_method": "bitsandbytes"}}, {}),
        ({"model_type": "qwen3", "quantization_config": {"quant_method": ["awq"]}}, {}),
        (QWEN, {"tokenizer_config.json": {}}),
        (QWEN, {"tokenizer_config.json": {**CHAT, "auto_map": {}}}),
        (QWEN, {"tokenizer_config.json": "{"}),
        (QWEN, {"without": "tokenizer.json"}),
        (QWEN, {"without": "config.json"}),
        (QWEN, {"without": "model.safetensors"}),
        (QWEN, {"model.safetensors.index.json": {"weight_map": {"a": "model-1.safetensors"}}}),
        ({"architectures": ["BertModel"]}, {"without": "tokenizer.json"}),
    ],
)  # fmt: skip
def test_what_cannot_run_is_not_listed(
    config: Any, files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = tmp_path / str(len(list(tmp_path.iterdir())))
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    download(hub, "org/model", config, **files)
    assert listed() == ["demo"]


def test_models_that_are_divided_or_have_their_template_in_a_file_are_listed(hub: Path) -> None:
    parts: dict[str, Any] = {f"model-{number}-of-2.safetensors": {} for number in (1, 2)}
    index: Any = {"weight_map": dict(zip("ab", parts, strict=True))}
    download(hub, "org/divided", without="model.safetensors", **{"model.safetensors.index.json": index}, **parts)
    template: dict[str, Any] = {"tokenizer_config.json": {}, "chat_template.jinja": "{{ messages }}"}
    download(hub, "org/jinja", **template)
    download(hub, "org/awq", {"model_type": "mistral", "quantization_config": {"quant_method": "awq"}})
    assert listed() == ["demo", "org/awq", "org/divided", "org/jinja"]


def test_a_download_that_was_cut_off_is_not_listed(hub: Path) -> None:
    download(hub, "org/model")
    (hub / "models--org--model" / "blobs" / "3").unlink()
    (hub / "models--org--empty").mkdir()
    (hub / "datasets--org--data").mkdir()
    assert listed() == ["demo"]


def test_models_in_the_folder_of_the_variable_are_listed_first_by_the_names_that_it_takes(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(hub, "org/model")
    download(hub, "org/two")
    cached, top = hub / "models--org--model" / "snapshots" / "c0ffee", hub / "mine"
    for name in ("own", "org/model", "demo", "org/unfinished"):
        folder = top / name
        folder.mkdir(parents=True)
        for file in cached.iterdir():
            if name != "org/unfinished" or file.name != "model.safetensors":
                (folder / file.name).write_bytes(file.read_bytes())
    (top / "notes.txt").touch()
    monkeypatch.setenv("MLX_MODEL_PATH", str(top))
    assert listed() == ["demo", "own", "org/model", "org/two"]
    for name, folder in (("own", top / "own"), ("org/model", top / "org/model")):
        assert resolve_folder(name) == folder
    monkeypatch.setenv("MLX_MODEL_PATH", str(top / "own"))
    assert listed() == ["demo", "own", "org/model", "org/two"]
    for absent in (hub / "absent", top / "notes.txt"):
        monkeypatch.setenv("MLX_MODEL_PATH", str(absent))
        assert listed() == ["demo", "org/model", "org/two"]


def test_without_a_cache_or_without_mlx_there_is_little_to_list(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(hub / "absent"))
    assert listed() == ["demo"]
    monkeypatch.setattr(local_models, "unavailable_reason", lambda: "MLX is not installed.")
    assert listed() == []


def test_the_types_are_those_of_the_installed_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "qwen9.py").touch()
    assert list(model_types._module_names([tmp_path])) == ["qwen9"]
