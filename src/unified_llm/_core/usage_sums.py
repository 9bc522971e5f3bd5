"""Sums of token counts."""

from __future__ import annotations

from dataclasses import fields

from unified_llm.types.records import Usage


def sum_tokens(usage: Usage) -> int:
    """Return all tokens of a request; where a provider gives no total, those of the prompt and of the response."""
    return usage.total_tokens or usage.prompt_tokens + usage.completion_tokens


def add_usage(usage: Usage | None, more: Usage | None) -> Usage | None:
    """Return the tokens of two requests together; those of the other where one is not known."""
    if usage is None or more is None:
        return usage or more
    return Usage(*(getattr(usage, name.name) + getattr(more, name.name) for name in fields(Usage)))
