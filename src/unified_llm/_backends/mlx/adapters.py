"""LoRA adapters: small weights that change a model, in the files that mlx-lm's training writes.

Only the engine thread may use this module. What is wrong with an adapter is found when it is loaded, and not as an
error, or as an adapter without an effect, during a request.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from unified_llm._backends.mlx.engine_types import UnloadableError
from unified_llm._backends.mlx.model_files import check_files, read_object

if TYPE_CHECKING:
    from mlx.nn.layers.base import Module  # pyright: ignore[reportMissingTypeStubs]

_WEIGHTS: Final = "adapters.safetensors"
_CONFIG: Final = "adapter_config.json"
_PEFT_WEIGHTS: Final = "adapter_model.safetensors"


def apply_adapter(model: Module, folder: Path) -> None:
    """Apply the adapter in a folder to a model.

    Raises:
        UnloadableError: There is none, or it does not fit the model.
    """
    _refuse_what_is_none(folder)
    check_files(folder)
    config = read_object(folder / _CONFIG)
    if not isinstance(config.get("lora_parameters"), dict) and config.get("fine_tune_type") != "full":
        raise UnloadableError(
            f"{folder / _CONFIG} has no lora_parameters: pass the folder that mlx-lm's training wrote."
        )
    from mlx.utils import tree_flatten
    from mlx_lm.utils import load_adapters

    try:
        shapes = _read_shapes(folder / _WEIGHTS)
        load_adapters(model, str(folder))
        own = {name: weight.shape for name, weight in cast("Any", tree_flatten(cast("Any", model).parameters()))}
    except Exception as error:
        # The library's message is left out: it may quote files.
        raise UnloadableError(_message(folder, f"could not be applied ({type(error).__name__})")) from error
    # Older releases of mlx-lm leave out what does not fit, and take weights of any shape.
    if misfits := [name for name, shape in shapes.items() if own.get(name) != shape]:
        raise UnloadableError(_message(folder, f"does not fit the model at {misfits[0][:100]!r}"))
    if not shapes:
        raise UnloadableError(_message(folder, "has no weights"))
    model.eval()  # no dropout


def _refuse_what_is_none(folder: Path) -> None:
    missing = next((name for name in (_CONFIG, _WEIGHTS) if not (folder / name).is_file()), None)
    if missing is None:
        return
    if (folder / _PEFT_WEIGHTS).is_file():
        raise UnloadableError(f"The adapter in {folder} is in the format of PEFT: convert it to mlx-lm's {_WEIGHTS}.")
    raise UnloadableError(f"There is no LoRA adapter in {folder}, where {missing} is missing: correct adapter_path.")


def _read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    import mlx.core as mx

    return {name: weight.shape for name, weight in cast("dict[str, mx.array]", mx.load(str(path))).items()}


def _message(folder: Path, what: str) -> str:
    return f"The adapter in {folder} {what}: use one that was trained on this model."
