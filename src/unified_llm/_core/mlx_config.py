"""``MLXConfig``: how a model in this process is loaded and run."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Final

from unified_llm._core.seconds import SecondsError, read_seconds
from unified_llm.exceptions import ConfigurationError

# mlx.core.quantize (ml-explore.github.io/mlx) and the caches of mlx-lm take these.
_KV_BITS: Final = frozenset({2, 3, 4, 5, 6, 8})
_KV_GROUP_SIZES: Final = frozenset({32, 64, 128})


@dataclass(frozen=True, slots=True)
class MLXConfig:
    """How a model of MLX is loaded and run; nothing for other providers.

    Attributes:
        adapter_path: A folder with a LoRA adapter (``adapters.safetensors``, ``adapter_config.json``).
        draft_model: A smaller model with the same tokenizer that proposes tokens (speculative decoding), named as in
            ``mlx/<name>``. Its requests run one after the other, outside the batch.
        num_draft_tokens: Tokens that the draft model proposes at once.
        kv_bits: Quantize the key-value cache to so many bits (2, 3, 4, 5, 6 or 8), which saves memory with long
            prompts. Its requests run one after the other, outside the batch. None: not quantized.
        kv_group_size: Values that share a scale in a quantized cache (32, 64 or 128); it must divide the size of the
            model's attention heads.
        max_queue: Requests of a model that may wait or run at once; one more is refused with a ``RateLimitError``, so
            that the call fails over.
        unload_after: Seconds without a request after which the model is unloaded; ``float("inf")`` for never.

    Raises:
        ConfigurationError: A value makes no sense.
    """

    adapter_path: str | None = None
    draft_model: str | None = None
    num_draft_tokens: int = 3
    kv_bits: int | None = None
    kv_group_size: int = 64
    max_queue: int = 128
    unload_after: float = 1800.0

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        for name in ("adapter_path", "draft_model"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value.strip()):
                raise ConfigurationError(f"MLXConfig.{name} must be the path or name of a folder, or None.")
        for name in ("num_draft_tokens", "max_queue"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"MLXConfig.{name} must be a whole number greater than 0.")
        if self.kv_bits is not None and self.kv_bits not in _KV_BITS:
            raise ConfigurationError("MLXConfig.kv_bits must be 2, 3, 4, 5, 6, 8 or None.")
        if self.kv_group_size not in _KV_GROUP_SIZES:
            raise ConfigurationError("MLXConfig.kv_group_size must be 32, 64 or 128.")
        if isinstance(self.unload_after, float) and not isfinite(self.unload_after) and self.unload_after > 0:
            return
        try:
            read_seconds(self.unload_after, or_none=False)
        except SecondsError as wrong:
            raise ConfigurationError(f"MLXConfig.unload_after {wrong}.") from None


MLXConfig.__module__ = "unified_llm"  # where users import it from
