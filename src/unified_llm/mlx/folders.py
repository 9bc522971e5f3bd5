"""What a folder holds, as far as its small JSON files tell, so that a mistake is found before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from unified_llm.mlx.request import EngineError
from unified_llm.target import CHAT, Feature

# huggingface.co/docs/transformers/model_doc/bert: what most small embedding models are (MiniLM, BGE, E5, GTE).
_ENCODER: Final = "BertModel"
# Other networks that read and never write; a chat model of these types does not exist.
_OTHER_ENCODERS: Final = frozenset({
    "albert", "bert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "nomic_bert", "roberta",
    "xlm-roberta",
})  # fmt: skip
_EMBEDDINGS: Final[frozenset[Feature]] = frozenset({"embeddings", "models"})


def features_of(folder: Path) -> frozenset[Feature]:
    """What the model in a folder can do: chat, or make embeddings."""
    return _EMBEDDINGS if is_encoder(_config(folder)) else CHAT


def is_encoder(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of an embedding model which can run here."""
    return _architecture(config) == _ENCODER


def problem(folder: Path) -> str | None:
    """What keeps the model in a folder from being used at all, and what to do; None where nothing is seen."""
    try:
        config = _config(folder)
    except EngineError as error:
        return str(error)
    if not config:
        return no_model(folder)
    if is_encoder(config):
        return _missing_file(folder)
    if config.get("model_type") in _OTHER_ENCODERS:
        return (
            f"The model in {folder} is a {_architecture(config) or config['model_type']}, which cannot run here: "
            f"for embeddings use a folder whose config.json says {_ENCODER}, for chat a model that writes text."
        )
    return None


def no_model(folder: Path) -> str:
    """What to say of a folder without a model."""
    return f"There is no model in {folder}: give the path of a folder that holds config.json and the weights."


def weights_of(folder: Path) -> list[Path]:
    """The files of weights, in one part or several."""
    return sorted(folder.glob("model*.safetensors"))


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is no such file.

    Raises:
        EngineError: The file holds something else.
    """
    content = read_json(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise EngineError("server", f"{path} does not hold a JSON object: check that the file is whole.")
    return cast("dict[str, Any]", content)


def read_json(path: Path) -> object:
    """Read a JSON file; None where there is none.

    Raises:
        EngineError: It cannot be read.
    """
    if not path.is_file():
        return None
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError("server", f"{path} cannot be read as JSON: check that the file is whole.") from error
    return content


def _config(folder: Path) -> dict[str, Any]:
    return read_object(folder / "config.json")


def _architecture(config: Mapping[str, Any]) -> str | None:
    match config.get("architectures"):
        case [str(name), *_]:
            return name
        case _:
            return None


def _missing_file(folder: Path) -> str | None:
    if not (folder / "tokenizer.json").is_file():
        return (
            f"The embedding model in {folder} has no tokenizer.json: save its tokenizer once with transformers "
            "(AutoTokenizer.from_pretrained(folder).save_pretrained(folder)), or take a folder that has one."
        )
    if not weights_of(folder):
        return (
            f"The embedding model in {folder} has no model.safetensors, the only format that is loaded: convert its "
            "weights, or take a folder that has them."
        )
    return None
