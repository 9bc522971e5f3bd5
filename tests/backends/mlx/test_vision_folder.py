"""Which folders mlx-vlm runs, and what is said where it is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient
from unified_llm._backends.mlx import vision_folder
from unified_llm._backends.mlx.vision_folder import runs_by_mlx_vlm
from unified_llm.exceptions import UnconfiguredError, UnsupportedOperationError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM

TYPES = {"mlx_lm": frozenset({"qwen3", "qwen2_vl"}), "mlx_vlm": frozenset({"qwen2_vl", "idefics3", "qwen3"})}
IMAGES: dict[str, Any] = {"vision_config": {"depth": 2}}


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> dict[str, frozenset[str]]:
    """Take this machine for one with mlx-lm and mlx-vlm; return the types that each knows."""
    types = dict(TYPES)
    monkeypatch.setattr("unified_llm._backends.mlx.unavailable_reason", lambda: None)
    monkeypatch.setattr(vision_folder, "known_types", lambda package: types[package])
    return types


def write(folder: Path, **files: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@each(
    ("runs", "config"),
    [
        (True, {"model_type": "qwen2_vl", **IMAGES}),
        (False, {"model_type": "idefics3", "vision_config": None}),
        (False, {"model_type": "qwen3"}),
        (False, {"model_type": "unknown", **IMAGES}),
        (True, {"model_type": "idefics3", "mm_vision_tower": "mobileclip"}),
        (False, {"model_type": ["idefics3"], **IMAGES}),
        (False, IMAGES),
    ],
)
def test_a_model_with_a_part_for_images_runs_by_mlx_vlm(config: dict[str, Any], *, runs: bool) -> None:
    assert runs_by_mlx_vlm(config) is runs


def test_the_features_of_a_folder_say_whether_it_reads_images(tmp_path: Path, packages: dict[str, Any]) -> None:
    both = write(tmp_path / "both", config={"model_type": "qwen2_vl", **IMAGES})
    text = write(tmp_path / "text", config={"model_type": "qwen3"})

    def reads_images(folder: Path) -> bool:
        return "images" in LLMClient(f"mlx/{folder}").targets[0].features

    assert [reads_images(folder) for folder in (both, text)] == [True, False]
    packages["mlx_vlm"] = frozenset()
    assert [reads_images(folder) for folder in (both, text)] == [False, False], "mlx-lm runs the text part"


def test_without_mlx_vlm_a_model_that_needs_it_is_refused_where_it_is_named(
    tmp_path: Path, packages: dict[str, Any]
) -> None:
    packages["mlx_vlm"] = frozenset()
    folder = write(tmp_path / "vision", config={"model_type": "idefics3", **IMAGES})
    surfaces: tuple[Any, ...] = (LLMClient, lambda name: ChatUnified(model=name), lambda name: UnifiedLLM(model=name))
    for surface in surfaces:
        with pytest.raises(UnconfiguredError, match=r"pip install 'unified-llm\[vision\]'"):
            surface(f"mlx/{folder}")
    with pytest.raises(UnsupportedOperationError):
        LLMClient("mlx/demo").generate([{"role": "user", "content": [{"type": "image_url", "image_url": "data:,x"}]}])
