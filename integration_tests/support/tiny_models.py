"""Small chat models with random weights, made on the spot in the Hugging Face layout: no download, no training.

A model of 64 dimensions is made in well under a second. Its text means nothing, and is the same for one seed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

_MERGES: Final = Path(__file__).parents[1] / "fixtures" / "tokenizer_merges.txt"

# As in Qwen3: what ends a turn is special, while the tags of reasoning and of tool calls are text.
SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS: Final = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")

# ChatML with tools as Qwen3 has them: calls are JSON in <tool_call>. It shows no tags of reasoning: a model with random
# weights would begin a block by chance, in place of what it is constrained to, and not end it.
TEMPLATE: Final = """
{%- macro text(message) %}{{ message.content if message.content is string else '' }}{% endmacro %}
{%- set first = messages[0] %}
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if first.role == 'system' %}{{ text(first) + '\n\n' }}{% endif %}
    {{- '# Tools\n\n<tools>' }}
    {%- for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}
    {{- '\n</tools>\n\nReturn each call as <tool_call>\n{"name": <name>, "arguments": <object>}\n</tool_call>' }}
    {{- '<|im_end|>\n' }}
{%- elif first.role == 'system' %}{{ '<|im_start|>system\n' + text(first) + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + text(message) + '<|im_end|>\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' + text(message) }}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if tool_call.function %}{% set tool_call = tool_call.function %}{% endif %}
            {{- '\n<tool_call>\n{"name": "' + tool_call.name + '", "arguments": ' }}
            {{- tool_call.arguments if tool_call.arguments is string else tool_call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\n<tool_response>\n' + text(message) + '\n</tool_response><|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{ '(no reasoning) ' }}{% endif %}
{%- endif %}
"""
REASONING_TEMPLATE: Final = TEMPLATE.replace("(no reasoning) ", "<think>\n\n</think>\n\n")
"""As Qwen3's: a prompt with ``enable_thinking=False`` ends with an empty block of reasoning."""


@dataclass(frozen=True)
class Shape:
    """Size of a network; the defaults have about 0.3 million parameters.

    Attributes:
        hidden: Dimensions.
        layers: Layers.
        heads: Heads of attention.
        kv_heads: Heads of keys and values.
        inner: Dimensions of the feed-forward network.
        vocabulary: The most tokens.
        window: The context window in tokens.
    """

    hidden: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    inner: int = 128
    vocabulary: int = 1024
    window: int = 4096


LARGE: Final = Shape(hidden=512, layers=8, heads=8, kv_heads=4, inner=1408, vocabulary=4096)
"""About 25 million parameters."""


def make_model(
    folder: Path,
    shape: Shape = Shape(),
    *,
    seed: int = 0,
    kind: str = "qwen3",
    template: str | None = TEMPLATE,
    tags: Sequence[str] = TAGS,
    further: dict[str, Any] | None = None,
) -> Path:
    """Make a chat model with random weights and return its folder.

    Args:
        folder: Where to put it; made if necessary.
        shape: Its size.
        seed: Of its weights.
        kind: The module of mlx-lm: ``qwen3``, ``llama`` ...
        template: The chat template; None for none.
        tags: Tokens of their own that are text.
        further: Further fields of ``config.json``.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_map

    folder.mkdir(parents=True, exist_ok=True)
    tokens = write_tokenizer(folder, shape, template=template, tags=tags)
    config = {
        "architectures": [f"{kind.capitalize()}ForCausalLM"],
        "model_type": kind,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.hidden // shape.heads,
        "intermediate_size": shape.inner,
        "rms_norm_eps": 1e-6,
        "vocab_size": tokens["size"],
        "max_position_embeddings": shape.window,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
        "eos_token_id": [tokens["<|im_end|>"], tokens["<|endoftext|>"]],
        "torch_dtype": "float32",
        **(further or {}),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    module = import_module(f"mlx_lm.models.{kind}")
    mx.random.seed(seed)
    model = module.Model(module.ModelArgs.from_dict(config))
    # Weights wider than at the beginning of a training, or every model would repeat its last token.
    wide = tree_map(lambda each: mx.random.normal(each.shape) * 0.25 if each.ndim > 1 else each, model.parameters())
    weights = dict(tree_flatten(wide))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    return folder


def write_tokenizer(
    folder: Path,
    shape: Shape,
    *,
    template: str | None = TEMPLATE,
    tags: Sequence[str] = TAGS,
    special: Sequence[str] = SPECIAL,
) -> dict[str, int]:
    """Write a byte-level tokenizer of English; return its tokens' numbers."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = _merges()[: shape.vocabulary - len(special) - len(tags) - len(vocabulary)]
    vocabulary |= {first + second: number for number, (first, second) in enumerate(merges, len(vocabulary))}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in tags])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": shape.window,
        "clean_up_tokenization_spaces": False,
        **({"chat_template": template} if template is not None else {}),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
    return {**tokenizer.get_vocab(), "size": tokenizer.get_vocab_size()}


@cache
def _merges() -> list[tuple[str, str]]:
    """Read the pairs of tokens that become one, the most frequent first.

    They were learned once, from English documentation with code, and are kept in a file: other tokens would be other
    responses of all models.
    """
    pairs = (line.split(" ") for line in _MERGES.read_text(encoding="utf-8").splitlines())
    return [(first, second) for first, second in pairs]
