"""A chat completion."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.chat.chat_completion_message import ChatCompletionMessage
from unified_llm.openai_style.types.chat.chat_completion_moderation import Moderation
from unified_llm.openai_style.types.chat.chat_completion_token_logprob import ChoiceLogprobs
from unified_llm.openai_style.types.completion_usage import CompletionUsage

__all__ = ["ChatCompletion", "Choice", "ChoiceLogprobs", "CompletionUsage", "Moderation"]


class Choice(OpenAIObject):
    """One of the answers of a chat completion."""

    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
    index: int
    logprobs: ChoiceLogprobs | None
    message: ChatCompletionMessage


class ChatCompletion(OpenAIObject):
    """A chat completion."""

    id: str
    choices: list[Choice]
    created: int
    model: str
    object: Literal["chat.completion"]
    metadata: dict[str, str] | None
    moderation: Moderation | None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None
    system_fingerprint: str | None
    usage: CompletionUsage | None


class ChatCompletionDeleted(OpenAIObject):
    """The deletion of a stored chat completion."""

    id: str
    deleted: bool
    object: Literal["chat.completion.deleted"]
