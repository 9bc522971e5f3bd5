"""OpenAI's SDK where it is installed; the tests do without it, as most environments of users do."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

SDK: Final[Any] = import_module("openai" if find_spec("openai") else "unified_llm.openai_style")
"""The SDK, or else this package's own names for the same."""
