"""The JSON files of a model's folder: which kind of model it is, what is missing, and the pooling recipe.

They are read before anything is loaded, so that a mistake is found early.

The pooling recipe of an embedding model is in the files that sentence-transformers writes (sbert.net/docs):
``modules.json`` defines how the vectors of the tokens are pooled into one, and whether it is normalised to length 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from unified_llm._backends.mlx.engine_types import EngineError, UnloadableError
from unified_llm._backends.mlx.model_files import read_json, read_object, weight_files
from unified_llm._backends.mlx.model_paths import configured_folders, file_of_model, is_below
from unified_llm._backends.mlx.vision_folder import lacking_package

# huggingface.co/docs/transformers/model_doc/bert: what most small embedding models are (MiniLM, BGE, E5, GTE).
_ENCODER: Final = "BertModel"
# Other encoder-only networks; a chat model of these types does not exist.
_OTHER_ENCODERS: Final = frozenset({
    "albert", "bert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "nomic_bert", "roberta",
    "xlm-roberta",
})  # fmt: skip


def is_model(folder: Path) -> bool:
    """Return whether a folder holds a model, rather than folders of models."""
    return (folder / "config.json").is_file()


def models_below(folder: Path) -> list[Path]:
    """Return the folders of models in a folder, in order of their names."""
    try:
        return sorted(entry for entry in folder.iterdir() if is_model(entry))
    except OSError:
        return []


def find_configured(name: str) -> Path | None:
    """Return the folder of a model's name in ``MLX_MODEL_PATH``; a name of the Hugging Face hub may lack its owner."""
    if not is_below(name):
        return None
    last = name.rpartition("/")[2]
    for folder in configured_folders():
        if is_model(folder):
            if folder.name in {name, last}:
                return folder
        elif below := next((place for place in (folder / name, folder / last) if is_model(place)), None):
            return below
    return None


def read_window(folder: Path) -> int | None:
    """Return the most tokens that the model in a folder can read and write; None if its configuration does not say."""
    return window_in(_config(folder))


def window_in(config: Mapping[str, Any]) -> int | None:
    """Return the context window in a configuration; models that read images have it in ``text_config``."""
    inner = config.get("text_config")
    places = (config, cast("dict[str, Any]", inner) if isinstance(inner, dict) else {})
    windows = (place.get("max_position_embeddings") for place in places)
    return next((window for window in windows if isinstance(window, int) and window > 0), None)


def is_encoder(config: Mapping[str, Any]) -> bool:
    """Check whether a configuration is that of an embedding model which can run here."""
    return _architecture(config) == _ENCODER


def find_problem(folder: Path) -> str | None:
    """Return why the model in a folder cannot be used, and what to do; None if no problem is found."""
    try:
        config = _config(folder)
    except EngineError as error:
        return str(error)
    if not config:
        return no_model_message(folder)
    if is_encoder(config):
        return _missing_file(folder)
    if str(config.get("model_type")) in _OTHER_ENCODERS:
        return (
            f"The model in {folder} is a {_architecture(config) or config['model_type']}, which cannot run here: "
            f"for embeddings use a folder whose config.json says {_ENCODER}, for chat a model that writes text."
        )
    return None


def find_lack(folder: Path) -> str | None:
    """Return which package the model in a folder lacks, and what to do; None where it has all."""
    return lacking_package(_config(folder))


def no_model_message(folder: Path) -> str:
    """Write the error message for a folder without a model."""
    return f"There is no model in {folder}: give the path of a folder that holds config.json and the weights."


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


# Names under which models keep the prefix of documents.
_DOCUMENT_PROMPTS: Final = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of an embedding model: what happens before and after the network.

    Attributes:
        max_tokens: The most tokens of a text that are read; the rest is cut off.
        pools_first_token: The vector is that of the first token, else the mean of all.
        normalise: Scale the vector to length 1.
        lowercase: Convert texts to lower case first.
        prefixes: The prefix of a text, by its purpose.
    """

    max_tokens: int
    pools_first_token: bool = False
    normalise: bool = True
    lowercase: bool = False
    prefixes: dict[str, str] = field(default_factory=dict[str, str])


def read_recipe(folder: Path, positions: int) -> Recipe:
    """Read a model's recipe; without ``modules.json``, the mean of all tokens at length 1.

    Args:
        folder: The folder of the model.
        positions: The most tokens that the network can read.

    Raises:
        EngineError: A file cannot be read, or requires something that is not supported here.
    """
    sentences = read_object(folder / "sentence_bert_config.json")
    tokenizer = read_object(folder / "tokenizer_config.json")
    limits = (positions, sentences.get("max_seq_length"), tokenizer.get("model_max_length"))
    prompts = read_object(folder / "config_sentence_transformers.json").get("prompts")
    pools_first_token, normalise = _read_modules(folder)
    return Recipe(
        max_tokens=int(min(limit for limit in limits if isinstance(limit, (int, float)) and limit > 0)),
        pools_first_token=pools_first_token,
        normalise=normalise,
        lowercase=sentences.get("do_lower_case") is True,
        prefixes=_prefixes(prompts if isinstance(prompts, dict) else {}),
    )


def _prefixes(prompts: dict[str, Any]) -> dict[str, str]:
    document = next((prompts[name] for name in _DOCUMENT_PROMPTS if name in prompts), None)
    prefixes = {"query": prompts.get("query"), "document": document}
    return {purpose: text for purpose, text in prefixes.items() if isinstance(text, str)}


def _read_modules(folder: Path) -> tuple[bool, bool]:
    """Return whether the vector is that of the first token, and whether it is normalised."""
    modules = read_json(folder / "modules.json")
    if not isinstance(modules, list):
        return False, True
    pools_first_token = normalise = False
    for module in modules:
        kind, path = _parse_module(module)
        if kind == "Pooling":
            settings = file_of_model(folder, f"{path or '.'}/config.json")
            pools_first_token = _pools_first_token(read_object(settings), folder)
        elif kind == "Normalize":
            normalise = True
        elif kind != "Transformer":
            raise _unsupported(folder, f"a step {kind!r}")
    return pools_first_token, normalise


def _parse_module(module: Any) -> tuple[str, str]:
    match module:
        case {"type": str(kind), "path": str(path)}:
            return kind.rpartition(".")[2], path
        case _:
            return "", ""


def _pools_first_token(config: dict[str, Any], folder: Path) -> bool:
    """Return True for the first token, False for the mean; the file has one name, or a boolean for each method."""
    methods = {name.removeprefix("pooling_mode_") for name, value in config.items() if value is True}
    methods = {config["pooling_mode"]} if isinstance(config.get("pooling_mode"), str) else methods & _POOLINGS
    if methods <= {"mean", "mean_tokens"}:
        return False
    if methods <= {"cls", "cls_token"}:
        return True
    raise _unsupported(folder, f"the pooling {' and '.join(sorted(methods))!r}")


_POOLINGS: Final = frozenset({
    "cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken",
})  # fmt: skip


def _unsupported(folder: Path, what: str) -> EngineError:
    message = (
        f"The embedding model in {folder} wants {what}, which is not known here: use one that pools by mean or cls."
    )
    return UnloadableError(message)
