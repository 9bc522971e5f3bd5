"""A model that a provider offers."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class Model(OpenAIObject):
    """A model that a provider offers."""

    id: str
    created: int
    object: Literal["model"]
    owned_by: str
    shutdown_date: str | None


class ModelDeleted(OpenAIObject):
    """The deletion of a model."""

    id: str
    deleted: bool
    object: str
