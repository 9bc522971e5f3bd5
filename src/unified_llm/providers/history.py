"""What the writers of all formats do to turns that another provider's model took part in."""

from __future__ import annotations

import hashlib
import string
from typing import Final

from unified_llm.exceptions import ValidationError
from unified_llm.jsonx import JSONError, dump
from unified_llm.messages import ToolCall
from unified_llm.target import Quirks

# OpenAI refuses longer identifiers of tool calls (code string_above_max_length, github.com/vercel/ai/issues/5171).
_LONGEST_ID: Final = 40
_ALPHABET: Final = string.digits + string.ascii_letters


def fitting_id(identifier: str, quirks: Quirks) -> str:
    """The identifier as the target accepts it, the same for a call and for its result."""
    length = quirks.get("tool_id_length")
    if length is None:
        fits, length = len(identifier) <= _LONGEST_ID, _LONGEST_ID
    else:
        fits = length == 0 or (len(identifier) == length and identifier.isascii() and identifier.isalnum())
    if fits:
        return identifier
    number = int.from_bytes(hashlib.sha256(identifier.encode(errors="replace")).digest(), "big")
    letters: list[str] = []
    while len(letters) < length:
        number, remainder = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[remainder])
    return "".join(letters)


def arguments_text(call: ToolCall, path: str) -> str:
    """What an earlier call was given, as text.

    Raises:
        ValidationError: It has no JSON form.
    """
    if call.raw_arguments:
        return call.raw_arguments
    try:
        return dump(call.arguments)
    except JSONError as problem:
        raise ValidationError(f"{path}.arguments cannot be sent: {problem}.") from None
