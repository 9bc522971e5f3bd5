"""Trains the demo model: tokenizer, weights and configuration files, in the Hugging Face layout.

Run it from the root of the repository; README.md in this folder has the command. It uses only MLX. The same seed gives
the same conversations and the same initial weights; the last digits of the result still depend on the BLAS library and
the processor.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, cast

import jinja2
import mlx.core as mx
import numpy as np
from mlx import nn, optimizers
from mlx.nn.utils import value_and_grad
from mlx.utils import tree_flatten
from mlx_lm.models import llama
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from training.answers import Message, answers, known_phrases
from training.corpus import Corpus
from training.evaluate import evaluate
from unified_llm._backends.mlx import demo_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

PAD, UNKNOWN, USER, ASSISTANT, END = SPECIAL = ["<|pad|>", "<|unknown|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE_SOURCE = (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8")
TEMPLATE = jinja2.Template(TEMPLATE_SOURCE)
LONGEST = 160
"""Longer conversations, in tokens, are skipped: they are rare, and attention over them is slow."""
WORDS = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]|\s+"
"""What one token is: a word, a number or a sign, with the space before it."""

ARCHITECTURE: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 448,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": SPECIAL.index(END),
    "pad_token_id": SPECIAL.index(PAD),
    "torch_dtype": "float16",
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Length and learning rate of the training."""

    steps: int
    batch: int = 32
    """Conversations in one step."""
    rate: float = 4e-3
    """The highest learning rate, reached after the warm-up; it then falls along a cosine to a hundredth."""
    warmup: int = 100


class Text:
    """Converts conversations to token ids, with the chat template of the model."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, conversation: list[Message]) -> tuple[list[int], int]:
        """Return the tokens of a conversation, and the number of those before the last answer."""
        prompt = self._encode(render(conversation[:-1]))
        return prompt + self._encode(conversation[-1]["content"] + END), len(prompt)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def render(messages: list[Message]) -> str:
    """Render the prompt of a conversation as one text."""
    return str(TEMPLATE.render(messages=messages, add_generation_prompt=True))


def make_tokenizer() -> Tokenizer:
    """Make the tokenizer: a token for each word of the questions and of the answers, and one for all other words."""
    before = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    # A template that opens a block of reasoning can be read back from its tokens: integration_tests has one.
    texts = [*(text for phrase in known_phrases() for text in split_special(phrase)), *sorted(answers()), "<think>\n"]
    words = dict.fromkeys(word for text in texts for word, _ in before.pre_tokenize_str(text))
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate([*SPECIAL, *words])}, unk_token=UNKNOWN)
    )
    tokenizer.pre_tokenizer = before
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def split_special(question: str) -> list[str]:
    """Return what the model reads of a question, without special tokens."""
    return re.split("|".join(map(re.escape, SPECIAL)), render([{"role": "user", "content": question}]))


def batches(corpus: Corpus, text: Text, size: int, seed: int) -> Iterator[tuple[mx.array, mx.array]]:
    """Yield padded tokens, and the positions before tokens of an answer; batches group conversations by length."""
    order = Random(seed)  # noqa: S311 - reproducible on purpose
    supply = (text.encode(conversation) for conversation in corpus.conversations())
    while True:
        rows = sorted(islice((row for row in supply if len(row[0]) <= LONGEST), 64 * size), key=lambda row: len(row[0]))
        chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
        order.shuffle(chunks)
        for chunk in chunks:
            width = -(-len(chunk[-1][0]) // 8) * 8
            ids = np.zeros((size, width), np.int32)
            mask = np.zeros((size, width), np.bool_)
            for row, (tokens, prompt) in enumerate(chunk):
                ids[row, : len(tokens)] = tokens
                mask[row, prompt : len(tokens)] = True
            yield mx.array(ids), mx.array(np.flatnonzero(mask[:, 1:]))


def loss(model: llama.Model, ids: mx.array, positions: mx.array) -> mx.array:
    """Return the mean cross-entropy of the answers' tokens."""
    # Only the answers are trained, so only they are projected onto the vocabulary, which saves a fifth of the time.
    hidden = model.model(ids[:, :-1]).reshape(-1, ARCHITECTURE["hidden_size"])[positions]
    logits = model.model.embed_tokens.as_linear(hidden)
    return nn.losses.cross_entropy(logits, ids[:, 1:].reshape(-1)[positions], reduction="mean")


def train(model: llama.Model, supply: Iterator[tuple[mx.array, mx.array]], schedule: Schedule, folder: Path) -> None:
    """Run the schedule, and save the weights every 500 steps."""
    rate = optimizers.join_schedules(
        [
            optimizers.linear_schedule(0.0, schedule.rate, schedule.warmup),
            optimizers.cosine_decay(schedule.rate, schedule.steps - schedule.warmup, schedule.rate / 100),
        ],
        [schedule.warmup],
    )
    optimizer = optimizers.AdamW(learning_rate=rate, betas=[0.9, 0.98], weight_decay=0.02)
    loss_and_gradients = value_and_grad(model, loss)
    started, tokens, mean = time.monotonic(), 0, 0.0
    for step, (ids, positions) in enumerate(islice(supply, schedule.steps), start=1):
        value, gradients = loss_and_gradients(model, ids, positions)
        gradients, _ = optimizers.clip_grad_norm(gradients, 1.0)  # type: ignore[no-untyped-call]
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state, value)
        tokens += ids.size
        mean = value.item() if step == 1 else 0.98 * mean + 0.02 * value.item()
        if step % 100 == 0 or step == schedule.steps:
            seconds = time.monotonic() - started
            print(f"step {step}  loss {mean:.4f}  {tokens / seconds:.0f} tokens/s  {seconds:.0f} s", flush=True)
        if step % 500 == 0 or step == schedule.steps:
            save_weights(model, folder)


def parameters(model: llama.Model) -> dict[str, mx.array]:
    """Return the weights by their names."""
    return cast("dict[str, mx.array]", tree_flatten(model.parameters(), destination={}))


def save_weights(model: llama.Model, folder: Path) -> None:
    """Write the weights in half precision, which halves their size and loses no correct answer."""
    weights = {name: value.astype(mx.float16) for name, value in parameters(model).items()}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


def save_description(tokenizer: Tokenizer, config: dict[str, Any], folder: Path) -> None:
    """Write the tokenizer and the configuration files."""
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "unk_token": UNKNOWN,
        "pad_token": PAD,
        "bos_token": None,
        "model_max_length": ARCHITECTURE["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE_SOURCE,
    }
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    for name, content in (("config.json", config), ("tokenizer_config.json", tokenizer_config)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Read the command line, train, and evaluate the result."""
    parser = argparse.ArgumentParser(description="Train the demo model of unified-llm.")
    parser.add_argument(
        "--folder", type=Path, default=demo_folder(), help="the output folder (default: in the package)"
    )
    parser.add_argument("--steps", type=int, default=4200)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--start", type=Path, help="a folder with the weights to begin with, instead of random ones")
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)

    tokenizer = make_tokenizer()
    config = ARCHITECTURE | {"vocab_size": tokenizer.get_vocab_size()}
    save_description(tokenizer, config, folder)
    mx.random.seed(options.seed)
    model = llama.Model(llama.ModelArgs.from_dict(config))  # type: ignore[no-untyped-call]
    # A tied embedding is also the last layer: with the usual unit variance, the first predictions would be extreme.
    model.model.embed_tokens.weight = mx.random.normal(model.model.embed_tokens.weight.shape) * 0.05
    if options.start:
        model.load_weights(str(options.start / "model.safetensors"))
        model.set_dtype(mx.float32)
    mx.eval(model.parameters())
    print(f"{sum(value.size for value in parameters(model).values())} parameters")
    schedule = Schedule(options.steps, rate=1e-3) if options.start else Schedule(options.steps)
    supply = batches(Corpus(options.seed + 1), Text(tokenizer), schedule.batch, options.seed)
    train(model, supply, schedule, folder)
    evaluate(folder)


if __name__ == "__main__":
    main()
