"""How an embedding model is to be used: what its folder says beside the network itself.

The files are those that sentence-transformers writes (sbert.net/docs): ``modules.json`` says how the vectors of the
tokens become one, and whether it is given the length 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from unified_llm.mlx.folders import read_json, read_object
from unified_llm.mlx.request import EngineError

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
