"""Load the network and the processor of mlx-vlm for a model that reads images.

Called from an engine thread, as ``loading``. A model whose type mlx-lm knows as well runs there, in a batch, with all
that there is for texts; the network of mlx-vlm is loaded before the first image, and shares the weights of the texts::

    mlx-lm:   texts  ------------------------> language model
                                                 ^  the same arrays
    mlx-vlm:  images --> vision tower --> language model

A model of another type runs by mlx-vlm alone. Nothing is downloaded and no code that came with a model is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine_types import EngineError, EngineKey, UnloadableError
from unified_llm._backends.mlx.loading import (
    LoadedModel,
    Tokenizer,
    check_config,
    disable_compile,
    evaluate,
    has_gpu,
    load_error,
    to_single_precision,
)
from unified_llm._backends.mlx.loading import load as load_texts
from unified_llm._backends.mlx.memory import no_room_for_images
from unified_llm._backends.mlx.model_files import check_files, fingerprint, read_object, refuse_change
from unified_llm._backends.mlx.model_folder import window_in
from unified_llm._backends.mlx.vision import LoadedImages, VisionModel
from unified_llm._backends.mlx.vision_folder import INSTALL, runs_by_mlx_vlm, runs_by_mlx_vlm_alone
from unified_llm._backends.mlx.weight_sizes import measure_size

if TYPE_CHECKING:
    import mlx.core as mx
    from mlx.nn.layers.base import Module  # pyright: ignore[reportMissingTypeStubs]


def load(key: EngineKey, room: int | None = None, check: Callable[[], object] = lambda: None) -> LoadedModel:
    """Load a model for texts, or for texts and images, as ``loading.load`` does for texts.

    Raises:
        EngineError: As ``loading.load``; also where a model that mlx-vlm alone runs has an adapter or a draft model.
    """
    config = read_object(key.folder / "config.json")
    if runs_by_mlx_vlm_alone(config):
        return _load_alone(key, room, check)
    loaded = load_texts(key, room, check)
    if not runs_by_mlx_vlm(config):
        return loaded
    vision = VisionModel(key, loaded.template, lambda left: _load_beside(key.folder, config, loaded, left))
    return replace(loaded, vision=vision)


def _load_alone(key: EngineKey, room: int | None, check: Callable[[], object]) -> LoadedModel:
    if reason := unavailable_reason():
        raise EngineError("unsupported", reason)
    folder = key.folder
    config = check_config(folder)
    if key.draft is not None or key.adapter is not None:
        message = f"The model in {folder} runs by mlx-vlm, with neither an adapter nor a draft model"
        raise UnloadableError(f"{message}: leave out adapter_path and draft_model.")
    network, processor = _load(folder, config, lazy=False)
    try:
        if not has_gpu():
            network = to_single_precision(network, room)
        evaluate(network, check)
        tokenizer = _load_tokenizer(folder, processor)
    except Exception as error:
        raise load_error(folder, config, error, package="mlx-vlm") from error
    loaded = LoadedModel(folder, network, tokenizer, window_in(config), merges=False, size=measure_size(network))
    vision = VisionModel(key, loaded.template, lambda _: LoadedImages(network, processor), runs_texts=True)
    vision.load()
    return replace(loaded, vision=vision)


def _load_beside(folder: Path, config: Mapping[str, Any], loaded: LoadedModel, room: int | None) -> LoadedImages:
    """Load the network and the processor, the weights that mlx-lm has loaded excepted."""
    network, processor = _load(folder, config, lazy=True)
    try:
        network = _share_weights(network, loaded.model)
        size = measure_size(network, beside=loaded.model)
        if room is None or size <= room:
            evaluate(network)
            return LoadedImages(network, processor, size)
    except Exception as error:
        raise load_error(folder, config, error, package="mlx-vlm") from error
    raise UnloadableError(no_room_for_images(folder, size, room))


def _load(folder: Path, config: Mapping[str, Any], *, lazy: bool) -> tuple[Any, Any]:
    check_config(folder)  # again: images may come long after the model was loaded
    files = fingerprint(folder)
    check_files(folder)
    disable_compile()
    try:
        import mlx_vlm.utils

        load_both = cast("Any", mlx_vlm.utils).load
        network, processor = load_both(str(folder), lazy=lazy, trust_remote_code=False)
    except ImportError as error:
        message = f"The model in {folder} reads images by a package that is not installed ({error.name or 'PyTorch'})"
        raise UnloadableError(f"{message}: use another model, or run {INSTALL}.") from error
    except Exception as error:
        raise load_error(folder, config, error, package="mlx-vlm") from error
    refuse_change(folder, files)
    return network, processor


def _load_tokenizer(folder: Path, processor: Any) -> Tokenizer:
    """Load the tokenizer as mlx-lm does, so that admission, grammars and tool calls are those of other models."""
    import mlx_lm.utils

    ends = list(getattr(processor, "tokenizer", processor).stopping_criteria.eos_token_ids)
    load_tokenizer = cast("Any", mlx_lm.utils).load_tokenizer
    tokenizer = load_tokenizer(folder, {"trust_remote_code": False}, eos_token_ids=ends)
    # A model that reads images may have its template beside that of its tokenizer.
    if isinstance(template := getattr(processor, "chat_template", None), str):
        tokenizer.chat_template = template
        tokenizer.has_chat_template = True
    return cast("Tokenizer", tokenizer)


def _share_weights(network: Any, texts: Module) -> Any:
    """Give a network that was not yet read from its files the arrays of another one where they are equal.

    The names of weights are those of the files in both packages, unless one has rearranged them: so each is compared,
    and freed again.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten

    def weights_of(module: Any) -> dict[str, mx.array]:
        return dict(cast("Any", tree_flatten(module.parameters())))

    loaded = weights_of(texts)
    if not has_gpu():  # as the other network was prepared
        if not any(name.endswith(".scales") for name in loaded):
            from mlx_lm.utils import dequantize_model

            network = dequantize_model(network)
        network.set_dtype(mx.float32)
    own = weights_of(network)
    for name in own.keys() & loaded.keys():
        weight = own.pop(name)
        same = weight.shape == loaded[name].shape and weight.dtype == loaded[name].dtype
        if same and mx.array_equal(weight, loaded[name]).item():
            _set_weight(network, name, loaded[name])
        del weight
    return network


def _set_weight(network: Any, name: str, weight: mx.array) -> None:
    *parents, last = name.split(".")
    module = network
    for parent in parents:
        module = module[int(parent)] if isinstance(module, list) else module[parent]
    module[last] = weight
