"""BERT's encoder: token numbers in, one vector for each token out.

Weights keep the names that they have in the Hugging Face layout. Only engine threads import this module, since it
imports MLX. Nothing here may use a compiled function (``mlx.nn`` has some): on a CPU each would start a C++ compiler.

Devlin et al. 2018, arxiv.org/abs/1810.04805; huggingface.co/docs/transformers/model_doc/bert for the names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import mlx.core as mx


def _gelu(x: mx.array) -> mx.array:
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2


def _gelu_tanh(x: mx.array) -> mx.array:
    return x * (1 + mx.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def _relu(x: mx.array) -> mx.array:
    return mx.maximum(x, 0)


_ACTIVATIONS: Final[Mapping[str, Callable[[mx.array], mx.array]]] = {
    "gelu": _gelu,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "relu": _relu,
}


class VariantError(Exception):
    """The network cannot be built; the message is the reason, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a network.

    Attributes:
        vocabulary: Different tokens.
        positions: The most tokens of a text.
        token_types: Types of segments; only the first is used.
        width: The length of a vector.
        inner: The width of the feed-forward layers.
        layers: How many layers.
        heads: How many heads of attention.
        epsilon: Keeps a normalisation from dividing by zero.
        activation: The function between the two feed-forward layers, as ``hidden_act`` names it.
    """

    vocabulary: int
    positions: int
    token_types: int
    width: int
    inner: int
    layers: int
    heads: int
    epsilon: float
    activation: str

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """Read the sizes from ``config.json``.

        Raises:
            VariantError: The configuration is incomplete, or of a variant that would give wrong vectors.
        """
        try:
            shape = cls(
                vocabulary=int(config["vocab_size"]),
                positions=int(config["max_position_embeddings"]),
                token_types=int(config.get("type_vocab_size", 2)),
                width=int(config["hidden_size"]),
                inner=int(config["intermediate_size"]),
                layers=int(config["num_hidden_layers"]),
                heads=int(config["num_attention_heads"]),
                epsilon=float(config.get("layer_norm_eps", 1e-12)),
                activation=str(config.get("hidden_act", "gelu")),
            )
        except (KeyError, TypeError, ValueError):
            raise VariantError("its config.json is incomplete") from None
        if shape.activation not in _ACTIVATIONS:
            raise VariantError("its hidden_act is not known here")
        if config.get("position_embedding_type", "absolute") != "absolute" or config.get("is_decoder"):
            raise VariantError("it is a variant of BERT that is not known here")
        if config.get("quantization") or config.get("quantization_config"):
            raise VariantError("its weights are quantized")
        return shape


def expected_weights(shape: Shape) -> dict[str, tuple[int, ...]]:
    """List the weights that a network of this shape needs, with their shapes."""
    width, inner = shape.width, shape.inner
    needed: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (shape.vocabulary, width),
        "embeddings.position_embeddings.weight": (shape.positions, width),
        "embeddings.token_type_embeddings.weight": (shape.token_types, width),
    }
    norms = ["embeddings.LayerNorm"]
    for number in range(shape.layers):
        layer = f"encoder.layer.{number}"
        joins = (f"{layer}.attention.output", f"{layer}.output")
        squares = (*(f"{layer}.attention.self.{part}" for part in ("query", "key", "value")), f"{joins[0]}.dense")
        for name, size in (
            *((square, (width, width)) for square in squares),
            (f"{layer}.intermediate.dense", (inner, width)),
            (f"{joins[1]}.dense", (width, inner)),
        ):
            needed |= {f"{name}.weight": size, f"{name}.bias": size[:1]}
        norms += [f"{join}.LayerNorm" for join in joins]
    return needed | {f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}


class Bert:
    """The network, ready to run.

    Args:
        shape: Its sizes.
        weights: By name, as the files have them; those of other parts (a pooler, a head for training) are left out.

    Raises:
        VariantError: A weight is missing, or has another shape.
    """

    def __init__(self, shape: Shape, weights: Mapping[str, mx.array]) -> None:
        self._shape = shape
        self._activate = _ACTIVATIONS[shape.activation]
        named = {_canonical_name(name): weight for name, weight in weights.items()}
        self._weights: dict[str, mx.array] = {}
        for name, size in expected_weights(shape).items():
            weight = named.get(name)
            if weight is None or weight.shape != size:
                raise VariantError(f"its weights lack {name} of the shape {size}")
            self._weights[name] = weight.astype(mx.float32)  # half precision is several times slower on a CPU
        mx.eval(self._weights)

    @property
    def size(self) -> int:
        """The bytes of the weights."""
        return sum(weight.nbytes for weight in self._weights.values())

    def __call__(self, tokens: mx.array, mask: mx.array) -> mx.array:
        """Compute vectors of shape (texts, tokens, width).

        Args:
            tokens: Token numbers of shape (texts, tokens), padded with anything.
            mask: True where a token is no padding, of the same shape.
        """
        position = self._weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        token_type = self._weights["embeddings.token_type_embeddings.weight"][0]
        x = self._norm("embeddings", self._weights["embeddings.word_embeddings.weight"][tokens] + position + token_type)
        attended = mask[:, None, None, :]  # every token attends to all but padding
        for number in range(self._shape.layers):
            layer = f"encoder.layer.{number}"
            x = self._add_and_norm(f"{layer}.attention.output", self._attend(f"{layer}.attention.self", x, attended), x)
            x = self._add_and_norm(f"{layer}.output", self._activate(self._dense(f"{layer}.intermediate.dense", x)), x)
        return x

    def _attend(self, name: str, x: mx.array, attended: mx.array) -> mx.array:
        texts, tokens, width = x.shape
        heads = self._shape.heads
        queries, keys, values = (
            self._dense(f"{name}.{part}", x).reshape(texts, tokens, heads, -1).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scale = (width // heads) ** -0.5
        mixed = mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask=attended)
        return mixed.transpose(0, 2, 1, 3).reshape(texts, tokens, width)

    def _add_and_norm(self, name: str, x: mx.array, residual: mx.array) -> mx.array:
        """Apply a dense layer, add the residual connection and normalise."""
        return self._norm(name, self._dense(f"{name}.dense", x) + residual)

    def _dense(self, name: str, x: mx.array) -> mx.array:
        return mx.addmm(self._weights[f"{name}.bias"], x, self._weights[f"{name}.weight"].T)

    def _norm(self, name: str, x: mx.array) -> mx.array:
        weight, bias = (self._weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return mx.fast.layer_norm(x, weight, bias, self._shape.epsilon)


def _canonical_name(name: str) -> str:
    """Return the usual name of a weight: the oldest files use gamma and beta, those with a head prefix ``bert.``."""
    return name.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias")
