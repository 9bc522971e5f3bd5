"""Estimated token counts, for splitters, summaries and trimmed histories.

A chain has as many tokenizers as it has models, so the counts are LangChain's own estimate, four characters to a token.
No tokenizer is loaded, from the network or the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from unified_llm.langchain._errors import translate_errors

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

    from unified_llm.langchain._constants import ToolLike

    _Base = BaseChatModel
else:
    _Base = object

_CHARACTERS_PER_TOKEN: Final = 4  # the default of count_tokens_approximately


class TokenEstimatesMixin(_Base):
    """LangChain's methods that count tokens, without a tokenizer. ``custom_get_token_ids`` replaces the estimate."""

    def get_token_ids(self, text: str) -> list[int]:
        """Return one number per estimated token of a text; equal pieces of text have equal numbers.

        They are no identifiers of any tokenizer, unless ``custom_get_token_ids`` returns such.
        """
        if self.custom_get_token_ids:
            return self.custom_get_token_ids(text)
        pieces = (text[start : start + _CHARACTERS_PER_TOKEN] for start in range(0, len(text), _CHARACTERS_PER_TOKEN))
        return [int.from_bytes(piece.encode(errors="surrogatepass")) for piece in pieces]

    def get_num_tokens(self, text: str) -> int:
        """Estimate how many tokens a text has: one for four characters."""
        if self.custom_get_token_ids:
            return len(self.custom_get_token_ids(text))
        return -(-len(text) // _CHARACTERS_PER_TOKEN)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[ToolLike] | None = None) -> int:
        """Estimate how many tokens a conversation has, and the tools that are offered with it.

        Raises:
            ValidationError: An item of ``tools`` is no tool.
        """
        if self.custom_get_token_ids:
            return super().get_num_tokens_from_messages(messages)
        from langchain_core.messages.utils import count_tokens_approximately

        from unified_llm.langchain._call_kwargs import convert_tool

        with translate_errors():
            return count_tokens_approximately(messages, tools=[convert_tool(tool) for tool in tools or ()] or None)
