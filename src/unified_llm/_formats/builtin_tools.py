"""Gemini's own tools (web search, code execution ...) in the spelling of its API.

Frameworks write them in several ways, and the API knows one::

    {"google_search": {}}   {"googleSearch": {}}   {"type": "google_search"}   --->   {"googleSearch": {}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# The fields of Gemini's ``Tool`` by their names in Google's Python SDK: https://ai.google.dev/api/caching#Tool, and
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/Tool for enterprise_web_search.
_GEMINI_TOOLS: Final[Mapping[str, str]] = {
    "code_execution": "codeExecution",
    "computer_use": "computerUse",
    "enterprise_web_search": "enterpriseWebSearch",
    "file_search": "fileSearch",
    "function_declarations": "functionDeclarations",
    "google_maps": "googleMaps",
    "google_search": "googleSearch",
    "google_search_retrieval": "googleSearchRetrieval",
    "url_context": "urlContext",
}
# The types of these are other providers' as well: file_search is OpenAI's, code_execution xAI's.
# https://platform.openai.com/docs/guides/tools-file-search, https://docs.x.ai/docs/guides/tools/overview
_SHARED_TYPES: Final = frozenset({"code_execution", "computer_use", "file_search"})
# Fields of OpenAI's tools that have the type of one of Gemini's (file_search, code_execution).
_OTHERS_FIELDS: Final = frozenset({"vector_store_ids", "container"})


def gemini_tool(tool: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return one of Gemini's own tools in the spelling of its API; None if the tool is another provider's."""
    if "type" not in tool:
        return {_GEMINI_TOOLS.get(field, field): {} if value is None else value for field, value in tool.items()}
    settings = {field: value for field, value in tool.items() if field not in {"type", "name"}}
    spelling = _gemini_spelling(tool["type"])
    return {spelling: settings} if spelling and _OTHERS_FIELDS.isdisjoint(settings) else None


def is_gemini_alone(kind: str) -> bool:
    """Return whether a type of tool is one that Gemini has and no other provider."""
    return kind not in _SHARED_TYPES and _gemini_spelling(kind) is not None


def _gemini_spelling(kind: object) -> str | None:
    """Return the name that Gemini's API has for a type, written in either way; None if the type is not Gemini's."""
    return _GEMINI_TOOLS.get(str(kind)) or (str(kind) if kind in _GEMINI_TOOLS.values() else None)
