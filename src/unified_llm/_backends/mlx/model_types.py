"""The types of models that the installed mlx-lm and mlx-vlm can run: the ``model_type`` of a ``config.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

# Types that mlx-vlm (mlx_vlm/utils.py) and mlx-lm (mlx_lm/utils.py) run as another one.
_OTHER_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "mlx_vlm": frozenset({
        "muse_spark_open", "llava_qwen2", "llava-qwen2", "bunny-llama", "lfm2-vl", "cohere2_vision", "jvlm",
        "phi4-siglip", "granite-vision", "granite4-vision", "nemotronh_nano_omni_reasoning_v3", "nemotron_h_omni",
        "unlimited-ocr", "moondream1", "inkling_mm_model",
    }),
    "mlx_lm": frozenset({
        "mistral", "llava", "phi-msft", "falcon_mamba", "joyai_llm_flash", "kimi_k2", "qwen2_5_vl", "minimax_m2",
        "iquestcoder", "xverse", "gemma4_unified", "deepseek_v41_text",
    }),
}  # fmt: skip


@cache
def known_types(package: Literal["mlx_lm", "mlx_vlm"]) -> frozenset[str]:
    """Return the types of models that ``mlx_lm`` or ``mlx_vlm`` has a module for, without importing it."""
    spec = find_spec("mlx_lm") if package == "mlx_lm" else find_spec("mlx_vlm")
    names = frozenset(_module_names(spec.submodule_search_locations or () if spec else ()))
    return names | _OTHER_TYPES[package] if names else names


def _module_names(locations: Any) -> Iterator[str]:
    for location in locations:
        for path in (Path(location) / "models").glob("[!_]*"):
            if path.suffix == ".py" or (path / "__init__.py").is_file():
                yield path.stem
