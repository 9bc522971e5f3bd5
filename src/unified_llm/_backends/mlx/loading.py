"""Load a chat model from a local folder, and only what is safe to load.

Called from an engine thread: MLX binds arrays to the thread that made them. Nothing is downloaded and no code that
came with a model is run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.adapters import apply_adapter
from unified_llm._backends.mlx.chat_template import ChatTemplate, TemplateTokenizer
from unified_llm._backends.mlx.engine_types import EngineError, EngineKey, UnloadableError
from unified_llm._backends.mlx.grammars import Grammars
from unified_llm._backends.mlx.model_files import check_files, fingerprint, read_object, refuse_change
from unified_llm._backends.mlx.model_folder import no_model_message, window_in
from unified_llm._backends.mlx.own_code import find_own_code
from unified_llm._backends.mlx.padding_check import passes_over_padding
from unified_llm._backends.mlx.prefix_cache import always_trims, can_merge
from unified_llm._backends.mlx.prompt_bounds import PromptBounds
from unified_llm._backends.mlx.weight_sizes import measure_size

if TYPE_CHECKING:
    from mlx.nn.layers.base import Module  # pyright: ignore[reportMissingTypeStubs]

    from unified_llm._backends.mlx.vision import VisionModel


_FLOAT_BYTES: Final = 4
_PART_BYTES: Final = 1 << 28  # of arrays that are read at once
_CPU_PREFILL: Final = 512  # tokens
_GPU_PREFILL: Final = 2048
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


class Tokenizer(TemplateTokenizer, Protocol):
    """The part of mlx-lm's tokenizers that is used here."""

    has_chat_template: bool

    @property
    def eos_token_ids(self) -> set[int]:
        """The tokens that end a turn."""
        ...

    @property
    def bos_token(self) -> str | None:
        """The token that begins a text, for models that have one."""
        ...

    @property
    def detokenizer(self) -> Detokenizer:
        """A new detokenizer for one answer."""
        ...

    def get_vocab(self) -> Mapping[str, int]:
        """Return the numbers of all tokens."""
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
        draft: The draft model, whose tokens are those of the model; None without one.
        cache_count: The number of the model's caches, one for each layer.
        merges: Whether its caches can be merged, and prompts be padded, so that requests run as a batch.
        always_trims: Whether tokens can be taken off its caches, however many they hold.
        vision: Reads prompts with images, and runs the network, where that is one of mlx-vlm.
        template: Its chat template.
        grammars: Those that were compiled for its tokenizer.
        size: The bytes of the weights in memory.
        bounds: Finds texts that are too long for its tokenizer.
    """

    folder: Path
    model: Module
    tokenizer: Tokenizer
    window: int | None
    draft: Module | None = None
    cache_count: int = 0
    merges: bool = True
    always_trims: bool = True
    size: int = 0
    vision: VisionModel | None = None
    template: ChatTemplate = field(init=False, repr=False)
    grammars: Grammars = field(init=False, repr=False)
    bounds: PromptBounds = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "template", ChatTemplate(self.tokenizer, self.folder))
        object.__setattr__(self, "grammars", Grammars(self.tokenizer))
        object.__setattr__(self, "bounds", PromptBounds(self.folder))

    def make_error(self, error: Exception) -> EngineError:
        """Return the error of a request during which the model failed. The library's message may quote the prompt."""
        if isinstance(error, EngineError):
            return error
        if isinstance(error, RecursionError):
            return EngineError("unsupported", "A value of the request is nested too deeply: simplify it.")
        return EngineError("server", f"The model in {self.folder} failed ({type(error).__name__}).")


def load(key: EngineKey, room: int | None = None, check: Callable[[], object] = lambda: None) -> LoadedModel:
    """Load a model and its tokenizer into memory, all of it at once, with its adapter and its draft model.

    Args:
        key: The folders.
        room: The bytes that the weights may take: on a CPU, quantized weights are dequantized where they fit into it.
            None: as much as they need.
        check: Called before each part of the weights is read; what it raises ends the loading, which may take a minute.

    Raises:
        EngineError: MLX is missing, a folder has no model, or the model wants to run its own code.
    """
    if reason := unavailable_reason():
        raise EngineError("unsupported", reason)
    folder = key.folder
    config = check_config(folder)
    model, tokenizer = _prepare(folder, config, key.adapter, room, check=check)
    from mlx_lm.models.cache import make_prompt_cache

    caches = make_prompt_cache(model)
    left = None if room is None else room - measure_size(model)
    draft = None if key.draft is None else _load_draft(key, tokenizer, caches, left, check=check)
    return LoadedModel(
        folder,
        model,
        tokenizer,
        window_in(config),
        draft=draft,
        cache_count=len(caches),
        merges=can_merge(caches) and (always_trims(caches) or passes_over_padding(model)),
        always_trims=always_trims(caches),
        size=measure_size(model, *filter(None, [draft])),
    )


def _load_draft(
    key: EngineKey, tokenizer: Tokenizer, caches: Sequence[object], room: int | None, *, check: Callable[[], object]
) -> Module:
    """Load a draft model.

    Raises:
        EngineError: It cannot be loaded, or it does not fit the model.
    """
    from mlx_lm.models.cache import make_prompt_cache

    draft_folder = cast("Path", key.draft)
    draft, draft_tokenizer = _prepare(draft_folder, check_config(draft_folder), None, room, check=check)
    if draft_tokenizer.get_vocab() != tokenizer.get_vocab():
        message = f"The draft model in {draft_folder} has other tokens than the model in {key.folder}"
        raise UnloadableError(f"{message}: use a smaller model of the same family.")
    for folder, own in ((key.folder, caches), (draft_folder, make_prompt_cache(draft))):
        if not always_trims(own):
            # A sliding window has dropped older tokens, and a recurrent network's state cannot be taken back.
            message = f"The model in {folder} cannot take back tokens that a draft model proposed"
            raise UnloadableError(f"{message}: leave out draft_model, or use another model.")
    return draft


def load_error(folder: Path, config: Mapping[str, Any], error: Exception, *, package: str = "mlx-lm") -> EngineError:
    """Make the error for a model that a package could not load. Its message is left out: it may quote files."""
    if isinstance(error, EngineError):
        return error
    if isinstance(error, MemoryError):
        return EngineError("server", f"There is not enough memory for the model in {folder}: use a smaller one.")
    kind = config.get("model_type")
    # mlx_lm.utils raises this where it has no module for the model's type.
    if isinstance(error, ValueError) and _UNKNOWN_TYPE.search(str(error)) and isinstance(kind, str):
        return UnloadableError(
            f"The installed {package} ({version(package)}) does not know the type {kind[:60]!r} of "
            f"the model in {folder}: update it with pip install -U {package}, or use another model."
        )
    name = type(error).__name__
    return UnloadableError(f"The model in {folder} could not be loaded ({name}): check that its files are whole.")


def has_gpu() -> bool:
    """Check whether there is a GPU that MLX can use."""
    import mlx.core as mx

    return mx.metal.is_available() or mx.cuda.is_available()


def prefill_step() -> int:
    """Return how many tokens of a prompt go through a network at once.

    On a CPU more are no faster, and running responses, a cancellation or the end of the program would wait for them.
    """
    return _GPU_PREFILL if has_gpu() else _CPU_PREFILL


def _prepare(
    folder: Path, config: Mapping[str, Any], adapter: Path | None, room: int | None, *, check: Callable[[], object]
) -> tuple[Module, Tokenizer]:
    """Load a model, in the precision that suits the processor, and apply its adapter."""
    import mlx.core as mx

    files = fingerprint(folder)
    check_files(folder)
    try:
        model, tokenizer = _load(folder)
        if not has_gpu():
            model = to_single_precision(model, room)
        evaluate(model, check)
    except Exception as error:
        raise load_error(folder, config, error) from error
    refuse_change(folder, files)
    if adapter is not None:
        apply_adapter(model, adapter)
        if not has_gpu():
            model.set_dtype(mx.float32)
        mx.eval(cast("Any", model).parameters())
    return model, tokenizer


def disable_compile() -> None:
    """Compile no kernels on a CPU: they save nothing there, and a C++ compiler would be started for each of them."""
    import mlx.core as mx

    if not has_gpu() and "MLX_DISABLE_COMPILE" not in os.environ:
        mx.disable_compile()


def _load(folder: Path) -> tuple[Module, Tokenizer]:
    disable_compile()
    import mlx_lm

    model, tokenizer = mlx_lm.load(str(folder), {"trust_remote_code": False}, lazy=True)[:2]
    return model, cast("Tokenizer", tokenizer)


def evaluate(model: Module, check: Callable[[], object] = lambda: None) -> None:
    """Read the arrays of a model from its files, so many at once that an end of the program need not wait for all.

    An array that was not read could not be evaluated by another thread, and an error in its file would only show later.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten

    part: list[mx.array] = []
    size = 0
    for _, weight in cast("list[tuple[str, mx.array]]", tree_flatten(cast("Any", model).parameters())):
        part.append(weight)
        size += weight.nbytes
        if size >= _PART_BYTES:
            check()
            mx.eval(part)
            part, size = [], 0
    check()
    mx.eval(part)


def to_single_precision(model: Module, room: int | None) -> Module:
    """Return a model for a CPU, where half precision and quantized weights are several times slower; evaluate nothing.

    Quantized weights become ordinary ones where these fit into memory; where not, their scales are in single precision.
    """
    import mlx.core as mx
    from mlx_lm.utils import dequantize_model

    if room is None or _size_dequantized(model) <= room:
        model = dequantize_model(model)
    model.set_dtype(mx.float32)
    return model


def _size_dequantized(model: Module) -> int:
    """Return the bytes of a model's weights in single precision."""
    from mlx.utils import tree_flatten

    size = 0
    for _, module in cast("Any", model).named_modules():
        bits = getattr(module, "bits", None)
        for name, weight in cast("Any", tree_flatten(module)):
            if "." in name:
                continue  # of a module within this one
            if not isinstance(bits, int):
                size += weight.size
            elif name not in {"scales", "biases"}:  # which dequantized weights have not
                size += weight.size * 32 // bits if name == "weight" else weight.size
    return size * _FLOAT_BYTES


def check_config(folder: Path) -> dict[str, Any]:
    """Read the configuration; refuse one that would make the libraries import code from the folder."""
    if not (folder / "config.json").is_file():
        raise EngineError("model_not_found", no_model_message(folder))
    if (name := find_own_code(folder)) is not None:
        message = f"The model in {folder} wants to run Python code of its own ({name}), which is refused"
        raise UnloadableError(f"{message}: use a model without `model_file` and `auto_map`, or without the code.")
    return read_object(folder / "config.json")
