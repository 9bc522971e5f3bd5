"""OpenAI's Responses format at Azure's addresses."""

from __future__ import annotations

from unified_llm._formats.azure import Azure
from unified_llm._formats.openai_responses import CODEC as OPENAI_RESPONSES

__all__ = ["CODEC"]

CODEC = Azure(OPENAI_RESPONSES)
