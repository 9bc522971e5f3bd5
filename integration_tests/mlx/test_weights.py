"""Adapters, quantized weights and damaged files, on tiny models with random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import pytest

from integration_tests.support.tiny_models import Shape, make_model
from tests.support.mlx_calls import Answer, collect, prompt
from unified_llm import LLMClient, MLXConfig
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineError, EngineKey, Output, UnloadableError
from unified_llm._backends.mlx.loading import load

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

SHAPE = Shape(hidden=128, inner=256)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "model", SHAPE)


def write_adapter(folder: Path, *, rank: int = 4, hidden: int = SHAPE.hidden, layer: int = 1, **config: Any) -> Path:
    import mlx.core as mx

    folder.mkdir(exist_ok=True)
    parameters = {"rank": 4, "scale": 20.0, "dropout": 0.1, "keys": ["self_attn.q_proj"]}
    settings = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": parameters, **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    mx.random.seed(5)
    name = f"model.layers.{layer}.self_attn.q_proj"
    weights = {f"{name}.lora_a": mx.random.normal((hidden, rank)), f"{name}.lora_b": mx.random.normal((rank, hidden))}
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)
    return folder


def ask(key: EngineKey, question: str = "What is failover?") -> Answer:
    engine, outputs = Engine(key), SimpleQueue[Output]()
    engine.submit(prompt(question, max_tokens=24), outputs.put)
    try:
        return collect(outputs)
    finally:
        engine.close()


def test_an_adapter_changes_the_responses_of_its_own_targets_alone(folder: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter")
    with_it = LLMClient(f"mlx/{folder}", max_tokens=24, mlx=MLXConfig(adapter_path=str(adapter)))
    without = LLMClient(f"mlx/{folder}", max_tokens=24)
    long = "What is failover? " * 30
    texts = [client.generate(long) for client in (without, with_it, without, with_it)]
    assert texts[0].content == texts[2].content != texts[1].content == texts[3].content
    assert texts[1].usage is not None
    assert texts[1].usage.cached_tokens == 0, "the prefix of a model without the adapter is another one"


def test_an_adapter_that_does_not_fit_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    def damaged(name: str, file: str, content: str | None) -> Path:
        place = write_adapter(tmp_path / name)
        (place / file).unlink()
        if content is not None:
            (place / file).write_text(content)
        return place

    peft = damaged("peft", "adapters.safetensors", None)
    (peft / "adapter_model.safetensors").touch()
    cases = [
        (tmp_path / "nowhere", "There is no LoRA adapter in"),
        (damaged("config", "adapter_config.json", None), "adapter_config.json is missing: correct adapter_path"),
        (damaged("json", "adapter_config.json", "{"), "cannot be read as JSON"),
        (damaged("settings", "adapter_config.json", "{}"), "has no lora_parameters"),
        (damaged("weights", "adapters.safetensors", "x"), "is no whole safetensors file"),
        (peft, "in the format of PEFT"),
        (write_adapter(tmp_path / "rank", rank=8), "trained on this model"),
        (write_adapter(tmp_path / "hidden", hidden=64), "trained on this model"),
        (write_adapter(tmp_path / "layer", layer=7), "trained on this model"),
    ]
    for adapter, message in cases:
        with pytest.raises(UnloadableError) as failure:
            ask(EngineKey(folder, adapter=adapter))
        assert message in str(failure.value)


@pytest.mark.parametrize("bits", [4, 8])
def test_quantized_weights_are_dequantized_on_a_cpu_where_they_fit(folder: Path, tmp_path: Path, bits: int) -> None:
    import mlx.core as mx
    from mlx_lm.utils import load as load_plain
    from mlx_lm.utils import quantize_model, save

    model, tokenizer, config = cast("Any", load_plain)(str(folder), return_config=True)
    model, config = quantize_model(model, config, group_size=64, bits=bits)
    save(tmp_path, folder, model, tokenizer, config)
    shutil.copy(folder / "tokenizer_config.json", tmp_path)
    size = sum(weight.nbytes for weight in leaves(load(EngineKey(tmp_path)).model))
    if mx.metal.is_available() or mx.cuda.is_available():
        pytest.skip("quantized weights are fast on a GPU")
    assert size == sum(weight.nbytes for weight in leaves(load(EngineKey(folder)).model)), "as many as before"
    packed: Any = load(EngineKey(tmp_path), room=size - 1).model
    assert sum(weight.nbytes for weight in leaves(packed)) < size / 2
    assert {weight.dtype for weight in leaves(packed)} == {mx.float32, mx.uint32}
    tokens = mx.array([[1, 2, 3]])
    plain: Any = load(EngineKey(tmp_path), room=size).model
    assert {weight.dtype for weight in leaves(plain)} == {mx.float32}
    assert mx.allclose(packed(tokens), plain(tokens), atol=1e-3).item()
    assert ask(EngineKey(tmp_path)).text
    assert ask(EngineKey(tmp_path, adapter=write_adapter(tmp_path / "adapter"))).text


def leaves(model: Any) -> list[Any]:
    from mlx.utils import tree_flatten

    return [weight for _, weight in cast("Any", tree_flatten(model.parameters()))]


def test_weights_that_are_missing_or_of_another_shape_are_found_when_they_are_loaded(
    folder: Path, tmp_path: Path
) -> None:
    for file, change in (
        ("model.safetensors", None),
        ("config.json", {"num_hidden_layers": 3}),
        ("tokenizer.json", None),
    ):
        place = shutil.copytree(folder, tmp_path / file)
        if change is None:
            (place / file).unlink()
        else:
            (place / file).write_text(json.dumps(json.loads((place / file).read_text()) | change))
        with pytest.raises(EngineError) as failure:
            ask(EngineKey(place))
        assert "check that its files are whole" in str(failure.value)


def test_loading_ends_between_two_parts_of_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a program does not wait until a large model is loaded."""
    monkeypatch.setattr("unified_llm._backends.mlx.loading._PART_BYTES", 100_000)
    folder = make_model(tmp_path / "model")
    checks: list[int] = []

    def check() -> None:
        checks.append(1)
        if len(checks) == 3:
            raise EngineError("server", "It was closed.")

    with pytest.raises(EngineError, match="It was closed"):
        load(EngineKey(folder), None, check)
    assert len(checks) == 3
    load(EngineKey(folder), None, lambda: checks.append(1))
    assert len(checks) > 6
