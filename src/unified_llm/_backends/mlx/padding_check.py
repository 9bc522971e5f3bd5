"""Whether a network reads prompts of different lengths in one batch as it reads each of them alone.

mlx-lm pads the shorter prompts of a batch at their ends, and leaves it to the network to pass the padding over. Of its
networks with a recurrent state, some read it into that state (in 0.32: Mamba, Jamba, RWKV), so that a response would
depend on what else arrives. There is no mark by which they are known, so that it is tried. Only the engine thread may
use this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import mlx.core as mx

_SHORT: Final = [1, 2, 3]
_LONG: Final = [4, 5, 6, 7, 8, 9, 10, 11]
_NEXT: Final = 3
# The most by which the logits may differ, as a share of their norm: what rounding makes of them is less.
_TOLERANCE: Final = 0.05


def passes_over_padding(model: Any) -> bool:
    """Return whether a network reads a prompt that is padded as it reads it alone; also False if it fails."""
    import mlx.core as mx

    try:
        alone, padded = _logits_alone(model), _logits_padded(model)
        difference: Any = (mx.linalg.norm(padded - alone) / mx.linalg.norm(alone)).item()
        return bool(difference < _TOLERANCE)
    except Exception:  # noqa: BLE001 - of many kinds; without a batch, a request shows whether the model runs at all
        return False


def _logits_alone(model: Any) -> mx.array:
    import mlx.core as mx
    from mlx_lm.models.cache import make_prompt_cache

    caches = make_prompt_cache(model)
    model(mx.array([_SHORT]), cache=caches)
    logits: mx.array = model(mx.array([[_NEXT]]), cache=caches)
    return logits[0, -1].astype(mx.float32)


def _logits_padded(model: Any) -> mx.array:
    import mlx.core as mx
    from mlx_lm.models.cache import make_prompt_cache

    padding = len(_LONG) - len(_SHORT)
    pairs: Any = zip(make_prompt_cache(model), make_prompt_cache(model), strict=True)
    caches = [first.merge([first, second]) for first, second in pairs]
    for cache in caches:
        cache.prepare(lengths=[len(_SHORT), len(_LONG)], right_padding=[padding, 0])
    model(mx.array([_SHORT + [0] * padding, _LONG]), cache=caches)
    for cache in caches:
        cache.finalize()
    logits: mx.array = model(mx.array([[_NEXT], [_NEXT]]), cache=caches)
    return logits[0, -1].astype(mx.float32)
