"""Sums of token counts."""

from __future__ import annotations

from dataclasses import fields

from unified_llm.types.records import Usage


def add_usage(usage: Usage | None, more: Usage | None) -> Usage | None:
    """Return the tokens of two requests together; those of the other where one is not known."""
    if usage is None or more is None:
        return usage or more
    return Usage(*(getattr(usage, name.name) + getattr(more, name.name) for name in fields(Usage)))
