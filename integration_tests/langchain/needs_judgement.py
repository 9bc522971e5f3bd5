"""Tests of LangChain's standard suites that a model without training cannot pass, whatever constrains its output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NEEDS_JUDGEMENT: Final[Mapping[str, str]] = {
    "test_tool_calling": "the argument 3, of magic_function(3)",
    "test_tool_calling_async": "the argument 3, of magic_function(3)",
    "test_agent_loop": "a call that nothing requires",
    "test_unicode_tool_call_integration": "the Chinese text of the question as an argument",
    "test_json_mode": "the keys that the question asks for, of an object without a schema",
}
"""What a model has to mean, by the test that wants it."""
