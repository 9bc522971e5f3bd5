"""Stored files."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class FileObject(OpenAIObject):
    """A stored file."""

    id: str
    bytes: int
    created_at: int
    filename: str
    object: Literal["file"]
    purpose: str
    status: Literal["uploaded", "processed", "error"]
    expires_at: int | None
    status_details: str | None


class FileDeleted(OpenAIObject):
    """The deletion of a file."""

    id: str
    deleted: bool
    object: Literal["file"]
