"""The smaller questions: what can be asked of a provider besides an answer, vectors and its list of models.

Frozen, like everything in ``types``; texts stay out of every ``repr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unified_llm.types import Attempt, LLMRequest, Usage


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Order documents by how well they answer a query.

    Attributes:
        query: What is looked for.
        documents: At least one text.
        top_n: How many of the best to return; None for all.
        model: Replaces the primary for this call.
        extra_body: Further fields of the request's body, sent as they are.
    """

    query: str = field(repr=False)
    documents: tuple[str, ...] = field(repr=False)
    top_n: int | None = None
    model: str | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """One document of a ranking: its place in the request, and its relevance, from 0 to 1 with most models."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class RerankResponse:
    """A ranking, the best first. Scores of two models cannot be compared."""

    results: tuple[RankedDocument, ...]
    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class CountRequest:
    """How many tokens the prompt of a chat request has, by the provider's own count."""

    chat: LLMRequest


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a provider says of the target's model: window, features."""
