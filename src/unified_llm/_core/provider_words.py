"""What a provider says about an error, made fit for messages.

A message always has the provider's codes and the field that it names, so these must be identifiers: a server may put
anything into them, the prompt among it. Its own message is in errors only where the user asked for that.
"""

from __future__ import annotations

import re
from typing import Final

from unified_llm._core import defaults
from unified_llm._core.redaction import MASK, begins_like_a_key

_LONGEST_NAME: Final = 80
_LONGEST_LINE: Final = 300
_LONGEST_READ: Final = 8000
# A code, or the path of a field: ``invalid_api_key``, ``messages[0].content``, ``tools.0.type``, ``$.input``. A key in
# it has been replaced by asterisks.
_NAME: Final = re.compile(r"[A-Za-z0-9_$*/][\w.\-:/*$]*(?:\[[\w*]{0,64}\][\w.\-:/*$]*)*", re.ASCII)
_PART: Final = re.compile(r"[^.:/\[\]$]+")
_LONGEST_PART: Final = 64  # a tool's name, and a property of its schema, may have as many
_QUOTED: Final = re.compile(r"""\[(['"])([\w-]+)\1\]""", re.ASCII)
_WORD: Final = re.compile(r"[^\s\"'`,;(){}<>=:]+")


def read_name(value: object) -> str | None:
    """Return a code, or the path of a field, as it may be in a message and a log.

    Returns:
        None for anything that may be a text: with white space, beyond ASCII, or with too long a part. Only the
        beginning of more than 80 characters. What looks like an API key is replaced by ``***``.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_READ:
        return None
    if not _NAME.fullmatch(name := _QUOTED.sub(r".\2", value)):
        return None
    if any(len(part) > _LONGEST_PART for part in _PART.findall(name)):
        return None
    name = _mask_keys(name, _PART)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."


def read_line(text: str) -> str:
    """Return a provider's message as one line of at most 300 characters, without what looks like an API key."""
    line = " ".join(
        "".join(character if character.isprintable() else " " for character in text[:_LONGEST_READ]).split()
    )
    line = _mask_keys(line, _WORD)
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 3]}..."


def quote_detail(detail: str | None, message: str = "") -> str:
    """Quote what ``detail`` of an error has, where the user asked for that, as a sentence that begins with a blank.

    Args:
        detail: The provider's own message.
        message: What the error says already, which is not repeated.
    """
    if not detail or not defaults.default("error_details"):
        return ""
    line = read_line(detail)
    return "" if line.rstrip(".") in message else f' Detail: "{line}".'


def _mask_keys(text: str, word: re.Pattern[str]) -> str:
    """Replace the words that begin as keys do by ``***``. Some names of codes do too, but have no digits."""

    def masked(match: re.Match[str]) -> str:
        return MASK if begins_like_a_key(match[0]) and any(map(str.isdigit, match[0])) else match[0]

    return word.sub(masked, text)
