"""Expressions of the dialect of Lark that llguidance reads: literals and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm._backends.mlx.tool_formats import LINE
from unified_llm._lib.bounded_json import dump

_COMPACT: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
LONGEST_TEXT: Final = 2_000
"""The longest text in characters whose length is bounded by a regular expression."""


def json_of(schema: Mapping[str, Any]) -> str:
    """Return the expression of JSON of a schema, without blanks of a free length."""
    return f"%json {dump({**schema, 'x-guidance': _COMPACT})}"


def literals(text: str, tags: Sequence[str]) -> list[str]:
    """Return the expressions of a text, each of its tags as a literal of its own."""
    parts = re.split(f"({'|'.join(map(re.escape, (LINE, *tags)))})", text)
    return ['"\\n"?' if part == LINE else json.dumps(part, ensure_ascii=False) for part in parts if part]
