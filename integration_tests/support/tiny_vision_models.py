"""Small models that read images, with random weights, made on the spot in the Hugging Face layout.

One of each way in which images become tokens: Qwen2-VL's number of tokens depends on the image's size, Idefics3's is
the same for all images. Their text means nothing; it depends on the images, on their order, and on the prompt.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from integration_tests.support.tiny_models import SPECIAL, TEMPLATE, Shape, write_tokenizer

SHAPE: Final = Shape()
_QWEN_TOKENS: Final = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_IDEFICS_TOKENS: Final = ("<fake_token_around_image>", "<image>", "<global-img>", "<end_of_utterance>")

# As in Qwen2-VL and Idefics3: the content is a text, or a list of parts in which an image has a place of its own.
_PARTS: Final = """
{%- if message.content is string %}{{ message.content }}
{%- else %}
    {%- for part in message.content or [] %}
        {%- if part.type == 'image' %}{{ 'IMAGE' }}{% elif part.type == 'text' %}{{ part.text }}{% endif %}
    {%- endfor %}
{%- endif %}
"""
_TEXT: Final = "{{ message.content if message.content is string else '' }}"


def make_qwen2_vl(folder: Path, *, seed: int = 0) -> Path:
    """Make a model like Qwen2-VL: an image of 28 x 28 pixels is one token, up to 16 tokens; return its folder."""
    tokens = _write_tokenizer(folder, _QWEN_TOKENS, "<|vision_start|><|image_pad|><|vision_end|>")
    config = {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        **_text_config(tokens),
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "tie_word_embeddings": False,
        "image_token_id": tokens["<|image_pad|>"],
        "video_token_id": tokens["<|video_pad|>"],
        "vision_start_token_id": tokens["<|vision_start|>"],
        "vision_end_token_id": tokens["<|vision_end|>"],
        "vision_config": {
            "model_type": "qwen2_vl",
            "depth": 2,
            "embed_dim": SHAPE.hidden,
            "hidden_size": SHAPE.hidden,
            "num_heads": SHAPE.heads,
            "mlp_ratio": 2,
            "in_channels": 3,
            "patch_size": 14,
            "spatial_patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }
    processor = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "min_pixels": 56 * 56,
        "max_pixels": 112 * 112,
        **_NORMAL,
    }
    _write(folder, {"config": config, "preprocessor_config": processor})
    return _write_weights(folder, config, seed)


def make_idefics3(folder: Path, *, seed: int = 0) -> Path:
    """Make a model like Idefics3: an image is 4 tokens, whatever its size; return its folder."""
    tokens = _write_tokenizer(folder, _IDEFICS_TOKENS, "<image>")
    config = {
        "architectures": ["Idefics3ForConditionalGeneration"],
        "model_type": "idefics3",
        "image_token_id": tokens["<image>"],
        "scale_factor": 2,
        "vocab_size": tokens["size"],
        "eos_token_id": tokens["<|im_end|>"],
        "text_config": {"model_type": "llama", **_text_config(tokens)},
        "vision_config": {
            "model_type": "idefics3_vision",
            "num_hidden_layers": 2,
            "hidden_size": SHAPE.hidden,
            "intermediate_size": SHAPE.inner,
            "num_attention_heads": SHAPE.heads,
            "image_size": 56,
            "patch_size": 14,
            "num_channels": 3,
        },
    }
    processor = {
        "image_processor_type": "Idefics3ImageProcessor",
        "processor_class": "Idefics3Processor",
        "do_image_splitting": False,
        "do_resize": True,
        "size": {"longest_edge": 56},
        "max_image_size": {"longest_edge": 56},
        "do_pad": True,
        "do_convert_rgb": True,
        **_NORMAL,
    }
    further = {"processor_class": "Idefics3Processor", "image_seq_len": 4}
    _write(folder, {"config": config, "preprocessor_config": processor, "processor_config": further})
    return _write_weights(folder, config, seed)


_NORMAL: Final[dict[str, Any]] = {
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def _write_tokenizer(folder: Path, of_images: tuple[str, ...], image: str) -> dict[str, int]:
    folder.mkdir(parents=True, exist_ok=True)
    assert _TEXT in TEMPLATE
    template = TEMPLATE.replace(_TEXT, _PARTS.strip().replace("IMAGE", image))
    return write_tokenizer(folder, SHAPE, template=template, tags=(), special=(*SPECIAL, *of_images))


def _text_config(tokens: dict[str, int]) -> dict[str, Any]:
    return {
        "hidden_size": SHAPE.hidden,
        "num_hidden_layers": SHAPE.layers,
        "intermediate_size": SHAPE.inner,
        "num_attention_heads": SHAPE.heads,
        "num_key_value_heads": SHAPE.kv_heads,
        "rms_norm_eps": 1e-6,
        "vocab_size": tokens["size"],
        "max_position_embeddings": SHAPE.window,
        "rope_theta": 10_000.0,
        "eos_token_id": tokens["<|im_end|>"],
    }


def _write(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1))


def _write_weights(folder: Path, config: dict[str, Any], seed: int) -> Path:
    import mlx.core as mx
    from mlx.utils import tree_flatten

    module = import_module(f"mlx_vlm.models.{config['model_type']}")
    settings = json.loads(json.dumps(config))  # the classes change what they are given
    shape = module.ModelConfig.from_dict(settings)
    shape.text_config = module.TextConfig.from_dict(settings.get("text_config", settings))
    shape.vision_config = module.VisionConfig.from_dict(settings["vision_config"])
    mx.random.seed(seed)
    flat: Any = tree_flatten(module.Model(shape).parameters())
    # Weights wider than at the beginning of a training, or every model would repeat its last token.
    weights = {name: mx.random.normal(each.shape) * 0.25 if each.ndim > 1 else each for name, each in flat}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    return folder
