"""The prompts of a text completion: texts or tokens, one or several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm.exceptions import ValidationError

_PROMPT: Final = "prompt is a string, a list of strings, a list of tokens, or a list of lists of tokens"
_TOKENS: Final = "it cannot take a prompt as tokens"
_NO_PROMPT: Final = "it cannot complete a text without a prompt"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt.

    Attributes:
        value: The prompt as the program wrote it.
        text: The prompt as text; empty where it is none.
        no_other_form: Why only text completion in OpenAI's format takes it, or None.
    """

    value: Any = field(repr=False)
    text: str = field(default="", repr=False)
    no_other_form: str | None = None


def read_prompts(given: Any) -> Sequence[Prompt]:
    """Return the prompts; one without a text where the program gave None, which begins a new document.

    Raises:
        ValidationError: They are something else.
    """
    if isinstance(given, str):
        return [Prompt(given, given, None if given else _NO_PROMPT)]
    if given is None:
        return [Prompt(None, no_other_form=_NO_PROMPT)]
    if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
        raise ValidationError(f"{_PROMPT}, not {type(given).__name__}.")
    items: list[Any] = [*given]
    if not items:
        raise ValidationError(f"{_PROMPT}; the list is empty.")
    if all(isinstance(item, int) and not isinstance(item, bool) for item in items):
        return [Prompt(items, no_other_form=_TOKENS)]
    return [_read_item(item) for item in items]


def _read_item(item: Any) -> Prompt:
    if isinstance(item, str):
        return Prompt(item, item, None if item else _NO_PROMPT)
    tokens: list[Any] = [*item] if isinstance(item, Iterable) and not isinstance(item, (bytes, Mapping)) else []
    if not tokens or not all(isinstance(token, int) and not isinstance(token, bool) for token in tokens):
        raise ValidationError(f"{_PROMPT}; one of its items is something else.")
    return Prompt(tokens, no_other_form=_TOKENS)
