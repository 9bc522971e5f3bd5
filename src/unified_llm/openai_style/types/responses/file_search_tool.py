"""The search in files."""

from __future__ import annotations

from typing import Any, Literal

from unified_llm.openai_style._objects import OpenAIObject


class ComparisonFilter(OpenAIObject):
    """Object of the type ``eq``."""

    key: str
    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    value: str | float | bool | list[str | float]


class CompoundFilter(OpenAIObject):
    """Object of the type ``and``."""

    filters: list[ComparisonFilter | Any]
    type: Literal["and", "or"]


class RankingOptions(OpenAIObject):
    """Ranking options."""

    hybrid_search: OpenAIObject | None
    ranker: Literal["auto", "default-2024-11-15"] | None
    score_threshold: float | None


class FileSearchTool(OpenAIObject):
    """Tool of the type ``file_search``."""

    type: Literal["file_search"]
    vector_store_ids: list[str]
    filters: ComparisonFilter | CompoundFilter | None
    max_num_results: int | None
    ranking_options: RankingOptions | None
