"""Sizes of models by their files, and the limit of the memory that they share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unified_llm import LLMClient, configure
from unified_llm._backends.mlx.engine_types import EngineKey
from unified_llm._backends.mlx.weight_sizes import SizeEstimate, estimate_size

WIDTHS = {"F8_E4M3": 1, "BF16": 2, "F16": 2, "F32": 4, "U32": 4, "I64": 8}


def write(folder: Path, tensors: Mapping[str, tuple[str, int]], name: str = "model", **config: Any) -> Path:
    """Write a file of weights that are all zero: name -> type and bytes."""
    folder.mkdir(exist_ok=True)
    header: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    begin = 0
    for tensor, (kind, nbytes) in tensors.items():
        header[tensor] = {"dtype": kind, "shape": [nbytes // WIDTHS[kind]], "data_offsets": [begin, begin + nbytes]}
        begin += nbytes
    text = json.dumps(header).encode()
    (folder / f"{name}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(begin))
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def estimate(folder: Path, **others: Path) -> SizeEstimate:
    return estimate_size(EngineKey(folder, **others), on_gpu=False)


def test_a_processor_takes_four_bytes_for_each_weight(tmp_path: Path) -> None:
    write(tmp_path, {"a": ("BF16", 100), "b": ("F32", 40), "c": ("F16", 10)})
    write(tmp_path, {"d": ("F8_E4M3", 10), "e": ("I64", 8)}, "model-00002-of-00002")
    write(tmp_path, {"z": ("F32", 10_000)}, "adapters")
    total = 200 + 40 + 20 + 40 + 8
    assert estimate(tmp_path) == SizeEstimate(total, total)
    on_gpu = estimate_size(EngineKey(tmp_path), on_gpu=True)
    assert on_gpu.size == sum(path.stat().st_size for path in tmp_path.glob("model*"))


def test_quantized_weights_are_counted_unpacked_and_as_they_are(tmp_path: Path) -> None:
    tensors = {"a.weight": ("U32", 400), "a.scales": ("BF16", 50), "a.biases": ("BF16", 50), "norm": ("BF16", 6)}
    write(tmp_path, tensors, quantization={"bits": 4, "group_size": 64})
    assert estimate(tmp_path) == SizeEstimate(size=400 * 8 + 12, packed=400 + 100 + 100 + 12)


def test_a_draft_model_and_an_adapter_are_added(tmp_path: Path) -> None:
    model, draft = write(tmp_path / "model", {"a": ("F32", 1000)}), write(tmp_path / "draft", {"a": ("F16", 100)})
    adapter = write(tmp_path / "adapter", {"a": ("F32", 4)}, "adapters")
    nbytes = (adapter / "adapters.safetensors").stat().st_size
    assert estimate(model, draft=draft, adapter=adapter).size == 1000 + 200 + nbytes


def test_files_that_cannot_be_read_as_weights_count_as_they_are(tmp_path: Path) -> None:
    contents = (b"", b"\xff" * 50, (10**9).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]")
    for content in contents:
        (tmp_path / "model.safetensors").write_bytes(content)
        assert estimate(tmp_path).size == len(content)
    assert estimate(tmp_path / "nothing", adapter=tmp_path / "nothing").size == 0


def test_a_limit_is_that_of_the_target_the_process_or_the_environment(monkeypatch: Any) -> None:
    def limit(**options: Any) -> int | None:
        return LLMClient("mlx/demo", **options).targets[0].memory_limit

    monkeypatch.setattr("unified_llm._config.make_target.check_mlx", lambda _: None)
    assert limit() is None
    monkeypatch.setenv("UNIFIED_LLM_MEMORY_LIMIT", "12GB")
    assert limit() == 12 * 10**9
    configure(memory_limit="1 GiB")
    assert limit() == 2**30
    assert limit(memory_limit=5) == 5
