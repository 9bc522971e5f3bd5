"""A BERT of some hundred random weights, written to a folder, and the same network in NumPy, one text at a time."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "query", ":", "a", "man", "eats", "bread", "the", "girl", "runs", "Girl")
CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": len(WORDS),
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}
MODULES = (
    ("sentence_transformers.models.Transformer", ""),
    ("sentence_transformers.models.Pooling", "1_Pooling"),
    ("sentence_transformers.models.Normalize", "2_Normalize"),
)

Weights = dict[str, np.ndarray]


def write(folder: Path, **changes: Any) -> Weights:
    """Write a model and return its weights; ``changes`` are made to ``config.json``."""
    config = CONFIG | changes
    weights = _weights(config)
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    write_json(folder / "config.json", config)
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))]
    )
    tokenizer.enable_padding(length=12)  # as in real files: the padding there must be ignored
    tokenizer.save(f"{folder / 'tokenizer.json'}")
    return weights


def write_modules(folder: Path, pooling: dict[str, Any], kinds: tuple[tuple[str, str], ...] = MODULES) -> None:
    """Write the files that define the pooling, as sentence-transformers does."""
    write_json(folder / "modules.json", [{"type": kind, "path": path} for kind, path in kinds])
    (folder / "1_Pooling").mkdir()
    write_json(folder / "1_Pooling" / "config.json", pooling)


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _weights(config: dict[str, Any]) -> Weights:
    random = np.random.default_rng(5)
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {"pooler.dense.weight": (width, width)}
    for name, rows in (
        ("word", "vocab_size"),
        ("position", "max_position_embeddings"),
        ("token_type", "type_vocab_size"),
    ):
        shapes[f"embeddings.{name}_embeddings.weight"] = (config[rows], width)
    norms = ["embeddings.LayerNorm"]
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}."
        for name, ins, outs in (
            ("attention.self.query", width, width),
            ("attention.self.key", width, width),
            ("attention.self.value", width, width),
            ("attention.output.dense", width, width),
            ("intermediate.dense", width, inner),
            ("output.dense", inner, width),
        ):
            shapes |= {f"{layer}{name}.weight": (outs, ins), f"{layer}{name}.bias": (outs,)}
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
    shapes |= {f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def hidden(weights: Weights, ids: list[int], config: dict[str, Any] = CONFIG) -> np.ndarray:
    """Compute the vectors of one text's tokens, as in the paper and in double precision."""
    w = {name: weight.astype(np.float64) for name, weight in weights.items()}
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]

    def dense(name: str, x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt(x.var(axis=1, keepdims=True) + eps)
        return np.asarray(scaled * w[f"{name}.weight"] + w[f"{name}.bias"])

    def head(part: np.ndarray) -> list[np.ndarray]:
        return [*np.split(part, heads, axis=1)]

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
    for number in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{number}."
        q, k, v = (head(dense(f"{at}attention.self.{name}", x)) for name in ("query", "key", "value"))
        mixed = []
        for index in range(heads):
            scores = np.exp(q[index] @ k[index].T / math.sqrt(q[index].shape[1]))
            mixed.append(scores / scores.sum(axis=1, keepdims=True) @ v[index])
        x = norm(f"{at}attention.output.LayerNorm", dense(f"{at}attention.output.dense", np.hstack(mixed)) + x)
        between = ACTIVATIONS[config["hidden_act"]](dense(f"{at}intermediate.dense", x))
        x = norm(f"{at}output.LayerNorm", dense(f"{at}output.dense", between) + x)
    return x


ACTIVATIONS: dict[str, Any] = {
    "gelu": np.vectorize(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2)))),
    "gelu_new": np.vectorize(lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    "relu": np.vectorize(lambda x: max(x, 0.0)),
}


def mean(x: np.ndarray) -> np.ndarray:
    """Return the mean of all tokens, normalised to length 1."""
    pooled = x.mean(axis=0)
    return np.asarray(pooled / np.linalg.norm(pooled))


def numbers(text: str) -> list[int]:
    """Return the token numbers of a text whose words are separated by spaces."""
    words = (WORDS.index(word) if word in WORDS else WORDS.index("[UNK]") for word in text.split())
    return [WORDS.index("[CLS]"), *words, WORDS.index("[SEP]")]
