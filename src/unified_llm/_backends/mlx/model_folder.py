"""What a folder holds, as far as its small JSON files tell, so that a mistake is found before anything is loaded.

How an embedding model is to be used: what its folder says beside the network itself.

The files are those that sentence-transformers writes (sbert.net/docs): ``modules.json`` says how the vectors of the
tokens become one, and whether it is given the length 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from unified_llm._backends.mlx.engine_types import EngineError
from unified_llm._core.features import CHAT, Feature

# huggingface.co/docs/transformers/model_doc/bert: what most small embedding models are (MiniLM, BGE, E5, GTE).
_ENCODER: Final = "BertModel"
# Other networks that read and never write; a chat model of these types does not exist.
_OTHER_ENCODERS: Final = frozenset({
    "albert", "bert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "nomic_bert", "roberta",
    "xlm-roberta",
})  # fmt: skip
_EMBEDDINGS: Final[frozenset[Feature]] = frozenset({"embeddings", "models"})


def read_features(folder: Path) -> frozenset[Feature]:
    """What the model in a folder can do: chat, or make embeddings."""
    return _EMBEDDINGS if is_encoder(_config(folder)) else CHAT


def is_encoder(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of an embedding model which can run here."""
    return _architecture(config) == _ENCODER


def find_problem(folder: Path) -> str | None:
    """What keeps the model in a folder from being used at all, and what to do; None where nothing is seen."""
    try:
        config = _config(folder)
    except EngineError as error:
        return str(error)
    if not config:
        return no_model_message(folder)
    if is_encoder(config):
        return _missing_file(folder)
    if config.get("model_type") in _OTHER_ENCODERS:
        return (
            f"The model in {folder} is a {_architecture(config) or config['model_type']}, which cannot run here: "
            f"for embeddings use a folder whose config.json says {_ENCODER}, for chat a model that writes text."
        )
    return None


def no_model_message(folder: Path) -> str:
    """What to say of a folder without a model."""
    return f"There is no model in {folder}: give the path of a folder that holds config.json and the weights."


def weight_files(folder: Path) -> list[Path]:
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
    if not weight_files(folder):
        return (
            f"The embedding model in {folder} has no model.safetensors, the only format that is loaded: convert its "
            "weights, or take a folder that has them."
        )
    return None


# Names under which models keep what is put before a document.
_DOCUMENT: Final = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done around the network.

    Attributes:
        longest: Tokens of a text that are read; what follows them is not.
        first: The vector is that of the first token, else the mean of all.
        normalise: Give it the length 1.
        lower: Write texts in lower case first.
        prefixes: What is put before a text, by its purpose.
    """

    longest: int
    first: bool = False
    normalise: bool = True
    lower: bool = False
    prefixes: dict[str, str] = field(default_factory=dict[str, str])


def read_recipe(folder: Path, positions: int) -> Recipe:
    """Read how a model is to be used; without ``modules.json``, the mean of all tokens at the length 1.

    Args:
        folder: Where the model lies.
        positions: The most tokens that the network can read.

    Raises:
        EngineError: A file cannot be read, or asks for something that is not known here.
    """
    sentences = read_object(folder / "sentence_bert_config.json")
    tokenizer = read_object(folder / "tokenizer_config.json")
    limits = (positions, sentences.get("max_seq_length"), tokenizer.get("model_max_length"))
    prompts = read_object(folder / "config_sentence_transformers.json").get("prompts")
    first, normalise = _modules(folder)
    return Recipe(
        longest=int(min(limit for limit in limits if isinstance(limit, (int, float)) and limit > 0)),
        first=first,
        normalise=normalise,
        lower=sentences.get("do_lower_case") is True,
        prefixes=_prefixes(prompts if isinstance(prompts, dict) else {}),
    )


def _prefixes(prompts: dict[str, Any]) -> dict[str, str]:
    document = next((prompts[name] for name in _DOCUMENT if name in prompts), None)
    found = {"query": prompts.get("query"), "document": document}
    return {purpose: text for purpose, text in found.items() if isinstance(text, str)}


def _modules(folder: Path) -> tuple[bool, bool]:
    """Whether the first token speaks for all, and whether vectors are normalised."""
    modules = read_json(folder / "modules.json")
    if not isinstance(modules, list):
        return False, True
    first = normalise = False
    for module in modules:
        kind, path = _module(module)
        if kind == "Pooling":
            first = _pools_the_first(read_object(folder / path / "config.json"), folder)
        elif kind == "Normalize":
            normalise = True
        elif kind != "Transformer":
            raise _unknown(folder, f"a step {kind!r}")
    return first, normalise


def _module(module: Any) -> tuple[str, str]:
    match module:
        case {"type": str(kind), "path": str(path)}:
            return kind.rpartition(".")[2], path
        case _:
            return "", ""


def _pools_the_first(config: dict[str, Any], folder: Path) -> bool:
    """True for the first token, False for the mean; written as one name, or as a switch for each way."""
    asked = {name.removeprefix("pooling_mode_") for name, value in config.items() if value is True}
    asked = {config["pooling_mode"]} if isinstance(config.get("pooling_mode"), str) else asked & _POOLINGS
    if asked <= {"mean", "mean_tokens"}:
        return False
    if asked <= {"cls", "cls_token"}:
        return True
    raise _unknown(folder, f"the pooling {' and '.join(sorted(asked))!r}")


_POOLINGS: Final = frozenset({
    "cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken",
})  # fmt: skip


def _unknown(folder: Path, what: str) -> EngineError:
    message = (
        f"The embedding model in {folder} wants {what}, which is not known here: use one that pools by mean or cls."
    )
    return EngineError("unsupported", message)
