"""The models on this machine that MLX can run: the embedded one, and those in ``MLX_MODEL_PATH`` or downloaded.

Their files are looked at, nothing is loaded and nothing is downloaded. What is incomplete, of a type that the installed
mlx-lm does not know, without a chat template, or runs code of its own is left out: it would fail at its first call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from unified_llm._backends.mlx import demo_folder, unavailable_reason
from unified_llm._backends.mlx.engine_types import EngineError
from unified_llm._backends.mlx.hub_cache import downloaded_models
from unified_llm._backends.mlx.model_features import read_features
from unified_llm._backends.mlx.model_files import (
    describe_quantization,
    has_all_weights,
    read_object,
    weight_files,
    weights_size,
)
from unified_llm._backends.mlx.model_folder import (
    find_problem,
    is_encoder,
    is_model,
    models_below,
    window_in,
)
from unified_llm._backends.mlx.model_names import DEMO
from unified_llm._backends.mlx.model_paths import check_inside, configured_folders
from unified_llm._backends.mlx.model_types import known_types
from unified_llm._backends.mlx.own_code import find_own_code
from unified_llm._backends.mlx.vision_folder import runs_by_mlx_vlm
from unified_llm._formats.json_values import is_object, text_or_none
from unified_llm.types.responses import ModelInfo

# Quantisations of other programs that mlx-lm reads (mlx_lm/utils.py).
_QUANTISATIONS: Final = frozenset({
    "bitnet", "mxfp4", "mxfp8", "fp8", "compressed-tensors", "modelopt", "awq", "gptq",
})  # fmt: skip
_TEMPLATES: Final = ("chat_template.jinja", "chat_template.json")
_TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model", "tiktoken.model", "vocab.json")


def find_models() -> tuple[ModelInfo, ...]:
    """Return the models that ``mlx/<id>`` can name; none where MLX cannot run here."""
    if unavailable_reason():
        return ()
    folders: dict[str, Path] = {}
    for name, folder in (*_configured_models(), *downloaded_models()):
        if name not in folders and name != DEMO and can_run(folder):
            folders[name] = folder
    folders = {DEMO: demo_folder(), **folders}
    return tuple(_describe(name, folder) for name, folder in folders.items())


def _configured_models() -> Iterator[tuple[str, Path]]:
    """Yield the models in ``MLX_MODEL_PATH``: each folder itself, those in it, and those in folders of their owners."""
    for top in configured_folders():
        if is_model(top):
            yield top.name, top
            continue
        yield from ((folder.name, folder) for folder in models_below(top))
        for owner in _other_folders(top):
            yield from ((f"{owner.name}/{folder.name}", folder) for folder in models_below(owner))


def _other_folders(top: Path) -> list[Path]:
    try:
        return sorted(entry for entry in top.iterdir() if entry.is_dir() and not is_model(entry))
    except OSError:
        return []


def _describe(name: str, folder: Path) -> ModelInfo:
    config = read_object(folder / "config.json")
    return ModelInfo(
        name,
        "mlx",
        owned_by="unified-llm" if name == DEMO else name.rpartition("/")[0] or None,
        context_window=window_in(config),
        features=frozenset(read_features(folder)),
        family=text_or_none(config.get("model_type")),
        size=weights_size(folder),
        quantization=describe_quantization(config),
    )


def can_run(folder: Path) -> bool:
    """Return whether the model in a folder is complete and of a type that can run here, as far as its files tell."""
    try:
        config = read_object(folder / "config.json")
        if find_problem(folder) or not has_all_weights(folder):
            return False
        check_inside(folder, weight_files(folder))
        return is_encoder(config) or (_is_known(config) and _can_chat(folder))
    except (EngineError, OSError):
        return False


def _is_known(config: Mapping[str, Any]) -> bool:
    kind, quantisation = config.get("model_type"), config.get("quantization_config")
    if runs_by_mlx_vlm(config):
        return True
    if not isinstance(kind, str) or kind not in known_types("mlx_lm"):
        return False
    if "quantization" in config or not is_object(quantisation):
        return True
    return str(quantisation.get("quant_method")) in _QUANTISATIONS


def _can_chat(folder: Path) -> bool:
    settings = read_object(folder / "tokenizer_config.json")
    if find_own_code(folder) or not any((folder / name).is_file() for name in _TOKENIZERS):
        return False
    has_template = bool(settings.get("chat_template") or settings.get("chat_template_type"))
    return has_template or any((folder / name).is_file() for name in _TEMPLATES)
