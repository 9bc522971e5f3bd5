"""A message of a stored chat completion."""

from __future__ import annotations

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.chat.chat_completion_message import ChatCompletionMessage


class ChatCompletionStoreMessage(ChatCompletionMessage):
    """A message of a stored chat completion."""

    id: str
    content_parts: list[OpenAIObject] | None
