"""Estimated token counts, for splitters, summaries and trimmed histories.

A chain has as many tokenizers as it has models, so the counts are LangChain's own estimate, four characters to a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import count_tokens_approximately

from unified_llm.langchain._call_kwargs import convert_tool
from unified_llm.langchain._constants import ToolLike

_CHARACTERS_PER_TOKEN: Final = 4  # the default of count_tokens_approximately


def estimate_tokens(text: str) -> int:
    """Return the estimated number of tokens of a text."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def estimate_token_ids(text: str) -> list[int]:
    """Return a number for each estimated token: that of the characters in it."""
    pieces = (text[start : start + _CHARACTERS_PER_TOKEN] for start in range(0, len(text), _CHARACTERS_PER_TOKEN))
    return [int.from_bytes(piece.encode(errors="surrogatepass")) for piece in pieces]


def estimate_conversation(messages: Sequence[BaseMessage], tools: Sequence[ToolLike]) -> int:
    """Return the estimated number of tokens of a conversation and of the tools that are offered with it.

    Raises:
        ValidationError: An item of ``tools`` is no tool.
    """
    return count_tokens_approximately(messages, tools=[convert_tool(tool) for tool in tools] or None)
