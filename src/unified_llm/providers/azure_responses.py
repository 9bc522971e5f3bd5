"""OpenAI's Responses format at Azure's addresses."""

from __future__ import annotations

from unified_llm.providers.azure import Azure
from unified_llm.providers.openai_responses import CODEC as OPENAI_RESPONSES

__all__ = ["CODEC"]

CODEC = Azure(OPENAI_RESPONSES)
