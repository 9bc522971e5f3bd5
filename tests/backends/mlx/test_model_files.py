"""Files of models that came from somewhere: paths that lead elsewhere, damaged weights, JSON without bounds."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient
from unified_llm._backends.mlx import local_models, model_files
from unified_llm._backends.mlx.engine_types import EngineKey, UnloadableError
from unified_llm._backends.mlx.hub_cache import find_snapshot, read_hub_name
from unified_llm._backends.mlx.model_files import (
    check_files,
    describe_quantization,
    fingerprint,
    read_json,
    refuse_change,
)
from unified_llm._backends.mlx.model_folder import find_configured, read_recipe
from unified_llm._backends.mlx.model_paths import configured_folders
from unified_llm._backends.mlx.template_files import read_template
from unified_llm._backends.mlx.weight_sizes import estimate_size
from unified_llm.exceptions import ConfigurationError

COMMIT = "c" * 40


def safetensors(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(*, begin: int = 0, end: int = 8, shape: Any = (2,), kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}


WHOLE = safetensors({"__metadata__": {"format": "mlx"}, "a": tensor()}, bytes(8))


@pytest.fixture(autouse=True)
def _no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("MLX_MODEL_PATH", raising=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a model as far as its files go."""
    return make(tmp_path / "model")


def make(folder: Path, **contents: bytes) -> Path:
    folder.mkdir(parents=True)
    files = {"config.json": b'{"model_type": "qwen3"}', "tokenizer.json": b"{}", "model.safetensors": WHOLE}
    files["tokenizer_config.json"] = b'{"chat_template": "x"}'
    for name, content in {**files, **contents}.items():
        (folder / name).write_bytes(content)
    return folder


def unused(folder: Path) -> Path:
    return folder / str(sum(1 for _ in folder.iterdir()))


def refusal(check: Callable[..., object], *arguments: Any) -> str:
    with pytest.raises(UnloadableError) as refused:
        check(*arguments)
    assert str(refused.value).count("\n") == 0
    return str(refused.value)


def test_a_whole_model_passes(model: Path) -> None:
    check_files(model)


@each(
    "content",
    [
        b"",
        b"\0" * 7,
        WHOLE[:-1],
        WHOLE[:20],
        safetensors({"a": tensor()}, bytes(8), length=2**63),
        safetensors({"a": tensor()}, bytes(8), length=10_000),
        safetensors({"a": tensor(end=2**40)}, bytes(8)),
        safetensors({"a": tensor(begin=-8, end=0)}, bytes(8)),
        safetensors({"a": tensor(begin=8, end=0)}, bytes(8)),
        safetensors({"a": tensor(shape=(2**40,))}, bytes(8)),
        safetensors({"a": tensor(shape=(-2,))}, bytes(8)),
        safetensors({"a": tensor(shape=("2",))}, bytes(8)),
        safetensors({"a": tensor(shape=(2, 2))}, bytes(8)),
        safetensors({"a": "F32"}, bytes(8)),
        safetensors({"a": {"dtype": "F32"}}, bytes(8)),
        safetensors([], bytes(8)),
        safetensors(b"{" * 100, bytes(8)),
        safetensors(b"[" * 100_000, bytes(8)),
        safetensors(b"\xff\xfe", bytes(8)),
        b"\x80\x04cos\nsystem\n(S'touch /tmp/owned'\ntR.",
    ],
)
def test_weights_whose_header_lies_are_refused(content: bytes, tmp_path: Path) -> None:
    model = unused(tmp_path)
    make(model, **{"model.safetensors": content})
    assert "model.safetensors is no whole safetensors file" in refusal(check_files, model)


def test_numbers_of_less_than_a_byte_and_types_of_the_future_pass(model: Path) -> None:
    header = {"a": tensor(kind="F4", shape=(16,)), "b": tensor(kind="Q9", shape=(3,)), "c": tensor(end=0, shape=(0,))}
    (model / "model.safetensors").write_bytes(safetensors(header, bytes(8)))
    check_files(model)


def test_links_that_lead_elsewhere_are_refused_wherever_they_are(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("model.safetensors", "tokenizer.json", "chat_template.jinja", "added_tokens.json"):
        (elsewhere / name).write_bytes(WHOLE if name.endswith("safetensors") else b"{}")
        kept = (model / name).read_bytes() if (model / name).exists() else None
        (model / name).unlink(missing_ok=True)
        (model / name).symlink_to(elsewhere / name)
        assert f"{name} of the model in {model} is a link to a file elsewhere" in refusal(check_files, model)
        with monkeypatch.context() as patched:
            patched.setenv("MLX_MODEL_PATH", os.pathsep.join(["/absent", str(elsewhere)]))
            check_files(model)
        (model / name).unlink()
        if kept is not None:
            (model / name).write_bytes(kept)
    check_files(model)
    (model / "special_tokens_map.json").symlink_to(model / "special_tokens_map.json")
    check_files(model)  # a link to itself leads nowhere


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_pipes_are_refused_and_never_opened(model: Path) -> None:
    (model / "additional_chat_templates").mkdir()
    for name in ("config.json", "chat_template.jinja", "model.safetensors", "additional_chat_templates/tool.jinja"):
        kept = (model / name).read_bytes() if (model / name).exists() else None
        (model / name).unlink(missing_ok=True)
        os.mkfifo(model / name)
        assert "is no regular file" in refusal(check_files, model)
        assert read_template(model) == "x"
        estimate_size(EngineKey(model), on_gpu=False)
        (model / name).unlink()
        if kept is not None:
            (model / name).write_bytes(kept)
    check_files(model)


def test_a_folder_that_is_a_link_is_the_folder_that_it_leads_to(model: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(model)
    check_files(tmp_path / "link")


def test_a_snapshot_leads_to_the_blobs_of_the_cache(tmp_path: Path) -> None:
    blobs = make(tmp_path / "hub" / "models--org--name" / "blobs")
    snapshot = blobs.parent / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(f"../../blobs/{blob.name}")
    check_files(snapshot)
    assert find_snapshot("org/name") == snapshot


@each(
    "name", ["../model.safetensors", "/etc/passwd", "a/../../model.safetensors", "a\\..\\b", "model\0.safetensors", ""]
)
def test_a_file_of_weights_that_the_index_names_elsewhere_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = unused(tmp_path)
    make(model, **{"model.safetensors.index.json": json.dumps({"weight_map": {"a": name}}).encode()})
    assert "names a path outside of its folder" in refusal(check_files, model)
    monkeypatch.setattr(local_models, "unavailable_reason", lambda: None)
    assert not local_models.can_run(model)


def test_a_file_of_weights_that_is_missing_is_named(model: Path) -> None:
    (model / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')
    assert "model-2.safetensors is missing" in refusal(check_files, model)


@each("path", ["../../secret", "/etc"])
def test_the_recipe_of_an_embedding_model_stays_in_its_folder(path: str, tmp_path: Path) -> None:
    model = unused(tmp_path)
    modules = [{"type": "sentence_transformers.models.Pooling", "path": path}]
    make(model, **{"modules.json": json.dumps(modules).encode()})
    assert "names a path outside of its folder" in refusal(read_recipe, model, 512)


def test_json_without_bounds_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("config.json", "tokenizer_config.json", "generation_config.json", "special_tokens_map.json"):
        before = (model / name).read_bytes() if (model / name).exists() else None
        for content in (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"[" * 1000, b"{", b"\xff", b""):
            (model / name).write_bytes(content)
            assert f"{name} cannot be read as JSON" in refusal(check_files, model)
        (model / name).unlink() if before is None else (model / name).write_bytes(before)
    (model / "config.json").write_text('{"rope": Infinity, "eps": NaN}')
    assert read_json(model / "config.json"), "as Python writes it, and transformers"
    monkeypatch.setattr(model_files, "_LARGEST_TEXT", 100)
    (model / "tokenizer.json").write_bytes(b" " * 101)
    assert "tokenizer.json is larger than" in refusal(check_files, model)
    monkeypatch.setattr(model_files, "_LARGEST_JSON", 10)
    assert "config.json is larger than" in refusal(check_files, model)


def test_files_that_changed_while_they_were_loaded_are_refused(model: Path) -> None:
    before = fingerprint(model)
    refuse_change(model, before)
    (model / "model.safetensors").write_bytes(WHOLE + b"\0")
    assert "changed while the model was loaded" in refusal(refuse_change, model, before)


def test_pickles_and_python_are_not_read(model: Path) -> None:
    for name in ("pytorch_model.bin", "model.pt", "weights.npz", "modeling.py", "model.pkl"):
        (model / name).mkdir()  # whoever opened one would fail
    check_files(model)


@each(
    "name",
    [
        "../x", "org/../x", "/etc/passwd", "org/x/y", "org/x@", "org/x@../y", "org/x@a//b", "org/x@/a", "org--x/y",
        "-x/y", "org/.x", "org/x\0", "org/x\n", "org/" + "x" * 100, "o rg/x", "org/x@v1 ", "org\\x",
    ],
)  # fmt: skip
def test_what_is_no_name_of_the_hub_is_not_looked_for(name: str) -> None:
    assert read_hub_name(name) is None
    assert find_snapshot(name) is None
    with pytest.raises(ConfigurationError) as refused:
        LLMClient(provider="mlx", model=name)
    assert "\n" not in str(refused.value)


def test_a_name_stays_below_the_folders_of_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "secret")
    own = make(tmp_path / "models" / "org" / "own")
    monkeypatch.setenv("MLX_MODEL_PATH", str(tmp_path / "models"))
    assert find_configured("org/own") == own
    for name in ("../secret", "org/../../secret", str(tmp_path / "secret"), "", "secret"):
        assert find_configured(name) is None


def test_the_variable_lists_folders_of_models_and_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(tmp_path / "one" / "a"), make(tmp_path / "two" / "b")
    third = make(tmp_path / "three" / "org" / "c")
    places = [str(tmp_path / "one"), "/absent", f" {second} ", "", str(tmp_path / "three")]
    monkeypatch.setenv("MLX_MODEL_PATH", os.pathsep.join(places))
    assert [find_configured(name) for name in ("a", "org/a", "b", "org/c", "c")] == [first, first, second, third, None]
    monkeypatch.setattr(local_models, "unavailable_reason", lambda: None)
    assert [model.id for model in local_models.find_models()] == ["demo", "a", "b", "org/c"]
    odd = make(tmp_path / f"with{os.pathsep}separator")
    monkeypatch.setenv("MLX_MODEL_PATH", str(odd))
    assert configured_folders() == [odd]


@each(
    ("config", "quantization"),
    [
        ({"quantization": {"bits": 4, "group_size": 64}}, "4-bit, group size 64"),
        ({"quantization": {"bits": 8, "group_size": 32, "mode": "affine"}}, "8-bit, group size 32"),
        ({"quantization": {"bits": 4, "group_size": 32, "mode": "mxfp4"}}, "mxfp4, 4-bit, group size 32"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "awq, 4-bit"),
        ({"quantization_config": {"quant_method": "fp8"}}, "fp8"),
        ({"quantization_config": {"bits": "4"}}, None),
        ({"quantization": None}, None),
        ({}, None),
    ],
)
def test_how_weights_are_quantized_is_shown(config: dict[str, Any], quantization: str | None) -> None:
    assert describe_quantization(config) == quantization
