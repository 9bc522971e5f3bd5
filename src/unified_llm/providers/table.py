"""Looking things up in the provider table: rows by name, model strings, what a model can do, codecs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from importlib import import_module
from types import MappingProxyType
from typing import Final

from unified_llm.exceptions import ConfigurationError
from unified_llm.providers import models
from unified_llm.providers.codec import Codec
from unified_llm.providers.row import Row
from unified_llm.providers.rows import ROWS
from unified_llm.secret import quoted
from unified_llm.target import Feature, Quirks

__all__ = [
    "ALIASES", "ROWS", "Facts", "Provider", "Row", "codec_for", "facts", "named", "nearest", "row", "unknown_model",
]  # fmt: skip


class Provider(StrEnum):
    """The providers known by name. A test holds this list to the table."""

    OPENAI = "openai"
    AZURE = "azure"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    COHERE = "cohere"
    HUGGINGFACE = "huggingface"
    OLLAMA = "ollama"
    LMSTUDIO = "lmstudio"
    MLX = "mlx"
    OPENROUTER = "openrouter"
    TOGETHER = "together"
    GROQ = "groq"
    MISTRAL = "mistral"
    PERPLEXITY = "perplexity"
    DEEPSEEK = "deepseek"
    FIREWORKS = "fireworks"
    XAI = "xai"
    CEREBRAS = "cerebras"
    NVIDIA = "nvidia"
    MOONSHOT = "moonshot"
    ZAI = "zai"
    MINIMAX = "minimax"
    VLLM = "vllm"
    LLAMACPP = "llamacpp"
    LITELLM = "litellm"
    OPENAI_COMPATIBLE = "openai-compatible"


ALIASES: Final[Mapping[str, str]] = MappingProxyType({"hf": "huggingface"})
# Each is a module or folder beside this one, with its codec in CODEC.
WIRES: Final = ("openai_chat",)
_ROWS: Final[Mapping[str, Row]] = MappingProxyType({each.name: each for each in ROWS})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one model at one provider.

    Attributes:
        features: What it can do.
        quirks: What its provider and it differ in.
        context_window: Tokens that a prompt can have, or None where that is not known.
        reasoning: It may think for minutes before the first token.
        max_output: The most tokens of an answer, or None where that is not known.
        wire: The format to ask it in.
    """

    features: frozenset[Feature]
    quirks: Quirks
    context_window: int | None = None
    reasoning: bool = False
    max_output: int | None = None
    wire: str = "openai_chat"


def row(name: str) -> Row:
    """The row of a provider, by name or alias, in any case.

    Raises:
        ConfigurationError: There is none; the message suggests the nearest name.
    """
    found = _find(name)
    if found is None:
        near = nearest(name)
        hint = f"did you mean {near!r}?" if near else f"known are {', '.join(_ROWS)}."
        raise ConfigurationError(f"{quoted(name)} is no known provider: {hint}")
    return found


def _find(name: str) -> Row | None:
    lowered = name.lower()
    return _ROWS.get(ALIASES.get(lowered, lowered))


def nearest(text: str) -> str | None:
    """The known provider whose name is most like this text, if any is like it."""
    close = get_close_matches(text.lower(), [*_ROWS, *ALIASES], n=1, cutoff=0.6)
    return ALIASES.get(close[0], close[0]) if close else None


def named(model: str, separators: str = "/:") -> tuple[str, str] | None:
    """Provider and model of a model string; None if the text before the first separator is no known provider.

    Raises:
        ConfigurationError: A provider is named, but no model.
    """
    positions = [position for separator in separators if (position := model.find(separator)) >= 0]
    if not positions:
        return None
    first = min(positions)
    found = _find(model[:first])
    if found is None:
        return None
    if not model[first + 1 :].strip():
        raise ConfigurationError(f'{found.name} is named without a model: write "{found.name}/model".')
    return found.name, model[first + 1 :]


def unknown_model(model: str) -> str:
    """A sentence about a model string that names no known provider, with the nearest that does."""
    said = f"{quoted(model)} names no known provider"
    maker = models.maker(model)
    if maker and "/" not in model and ":" not in model:
        return f"{said}: did you mean {maker}/{model}?"
    start = min(position for position in (model.find("/"), model.find(":"), len(model)) if position >= 0)
    near = nearest(model[:start]) if start < len(model) else None
    if near:
        return f"{said}: did you mean {quoted(near + model[start:])}?"
    return f'{said}: write "provider/model", such as "openai/gpt-5-mini", or pass provider=.'


def facts(where: Row, model: str) -> Facts:
    """What is known of a model at a provider: the row, refined by what ``models`` says of such a name."""
    known = models.find(where.name, model)
    if known is None:
        return Facts(where.features, where.quirks, wire=where.wire)
    quirks = where.quirks.copy()
    quirks["drop"] = quirks.get("drop", frozenset[str]()) | known.drop
    features = (where.features - known.lacks) | known.gains
    return Facts(features, quirks, known.window, known.reasoning, known.output, known.wire or where.wire)


def codec_for(wire: str) -> Codec:
    """The codec of that name, imported when it is first needed.

    Raises:
        ConfigurationError: There is none.
    """
    if wire not in WIRES:
        raise ConfigurationError(f"There is no codec {quoted(wire)}.")
    codec: Codec = import_module(f"unified_llm.providers.{wire}").CODEC
    return codec
