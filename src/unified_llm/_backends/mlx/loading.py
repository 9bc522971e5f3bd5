"""Load a chat model from a local folder, and only what is safe to load.

Called from an engine thread: MLX binds arrays to the thread that made them. Nothing is downloaded and no code that
came with a model is run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine_types import EngineError, UnloadableError
from unified_llm._backends.mlx.model_folder import no_model_message, read_object, wants_own_code, window_in

if TYPE_CHECKING:
    from mlx.nn.layers.base import Module  # pyright: ignore[reportMissingTypeStubs]


_UNKNOWN_TYPE: Final = re.compile(r"\bmodel type\b.*\bnot supported", re.IGNORECASE)


class Detokenizer(Protocol):
    """Turns the tokens of one answer into text: the part of mlx-lm's detokenizers that is used here."""

    @property
    def last_segment(self) -> str:
        """The text that became readable since this was last read."""
        ...

    def add_token(self, token: int) -> None:
        """Take the next token."""
        ...

    def finalize(self) -> None:
        """Release text that was held back for an incomplete character."""
        ...


class Tokenizer(Protocol):
    """The part of mlx-lm's tokenizers that is used here."""

    has_chat_template: bool

    @property
    def eos_token_ids(self) -> set[int]:
        """The tokens that end a turn."""
        ...

    @property
    def detokenizer(self) -> Detokenizer:
        """A new detokenizer for one answer."""
        ...

    def apply_chat_template(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool
    ) -> Sequence[int]:
        """Turn a conversation into tokens."""
        ...

    def decode(self, token_ids: Sequence[int], /) -> str:
        """Turn tokens into text, those of special tokens included."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to run, with its tokenizer.

    Attributes:
        folder: The folder that it was loaded from.
        model: The network.
        tokenizer: The tokenizer of mlx-lm, which wraps that of transformers.
        window: The most tokens that the model can read and write, if its configuration says so.
    """

    folder: Path
    model: Module
    tokenizer: Tokenizer
    window: int | None

    def make_error(self, error: Exception) -> EngineError:
        """Return the error of a request during which the model failed. The library's message may quote the prompt."""
        if isinstance(error, EngineError):
            return error
        return EngineError("server", f"The model in {self.folder} failed ({type(error).__name__}).")


def load(folder: Path) -> LoadedModel:
    """Load a model and its tokenizer into memory, all of it at once.

    Args:
        folder: A folder in the Hugging Face layout.

    Raises:
        EngineError: MLX is missing, the folder has no model, or the model wants to run its own code.
    """
    if reason := unavailable_reason():
        raise EngineError("unsupported", reason)
    config = _check_config(folder)
    try:
        model, tokenizer = _load(folder)
    except Exception as error:
        raise _load_error(folder, config, error) from error
    if not tokenizer.has_chat_template:
        raise UnloadableError(f"The model in {folder} has no chat template: use a model made for chat.")
    return LoadedModel(folder, model, tokenizer, window_in(config))


def _load_error(folder: Path, config: Mapping[str, Any], error: Exception) -> EngineError:
    """Make the error for a model that could not be loaded. The library's message is left out: it may quote files."""
    if isinstance(error, MemoryError):
        return EngineError("server", f"There is not enough memory for the model in {folder}: use a smaller one.")
    kind = config.get("model_type")
    # mlx_lm.utils raises this where it has no module for the model's type.
    if isinstance(error, ValueError) and _UNKNOWN_TYPE.search(str(error)) and isinstance(kind, str):
        return UnloadableError(
            f"The installed mlx-lm ({version('mlx-lm')}) does not know the type {kind[:60]!r} of "
            f"the model in {folder}: update it with pip install -U mlx-lm, or use another model."
        )
    name = type(error).__name__
    return UnloadableError(f"The model in {folder} could not be loaded ({name}): check that its files are whole.")


def has_gpu() -> bool:
    """Check whether there is a GPU that MLX can use."""
    import mlx.core as mx

    return mx.metal.is_available() or mx.cuda.is_available()


def _load(folder: Path) -> tuple[Module, Tokenizer]:
    import mlx.core as mx

    if not has_gpu() and "MLX_DISABLE_COMPILE" not in os.environ:
        # On a CPU the compiled kernels save nothing, and a C++ compiler would be started for each of them.
        mx.disable_compile()

    import mlx_lm

    # A lazily loaded array could not be evaluated by another thread, and an error in its file would only show later.
    model, tokenizer = mlx_lm.load(str(folder), {"trust_remote_code": False}, lazy=False)[:2]
    if not has_gpu():
        model.set_dtype(mx.float32)  # processors compute in single precision; half is several times slower
        mx.eval(model.parameters())  # pyright: ignore[reportUnknownMemberType]
    return model, cast("Tokenizer", tokenizer)


def _check_config(folder: Path) -> dict[str, Any]:
    """Read the configuration; refuse one that would make the libraries import code from the folder."""
    if not (folder / "config.json").is_file():
        raise EngineError("model_not_found", no_model_message(folder))
    config = read_object(folder / "config.json")
    if wants_own_code(config, read_object(folder / "tokenizer_config.json")):
        raise UnloadableError(
            f"The model in {folder} wants to run Python code of its own, which is refused: use a model without "
            "`model_file` in config.json and `auto_map` in tokenizer_config.json.",
        )
    return config
