"""A chunk of a streamed chat completion."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.chat.chat_completion_moderation import Moderation
from unified_llm.openai_style.types.chat.chat_completion_token_logprob import ChoiceLogprobs
from unified_llm.openai_style.types.completion_usage import CompletionUsage


class ChoiceDeltaAudio(OpenAIObject):
    """The next part of spoken text."""

    id: str | None
    data: str | None
    expires_at: int | None
    transcript: str | None


class ChoiceDeltaFunctionCall(OpenAIObject):
    """The next part of a call in the form that ``functions`` has."""

    arguments: str | None
    name: str | None


class ChoiceDeltaToolCallFunction(OpenAIObject):
    """The next part of a call's function and arguments."""

    arguments: str | None
    name: str | None


class ChoiceDeltaToolCall(OpenAIObject):
    """The next part of a call."""

    index: int
    id: str | None
    function: ChoiceDeltaToolCallFunction | None
    type: Literal["function"] | None


class ChoiceDelta(OpenAIObject):
    """What is new in an answer."""

    audio: ChoiceDeltaAudio | None
    content: str | None
    function_call: ChoiceDeltaFunctionCall | None
    refusal: str | None
    role: Literal["developer", "system", "user", "assistant", "tool"] | None
    tool_calls: list[ChoiceDeltaToolCall] | None


class Choice(OpenAIObject):
    """What is new in one of the answers."""

    delta: ChoiceDelta
    index: int
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"] | None
    logprobs: ChoiceLogprobs | None


class ChatCompletionChunk(OpenAIObject):
    """A chunk of a streamed chat completion."""

    id: str
    choices: list[Choice]
    created: int
    model: str
    object: Literal["chat.completion.chunk"]
    moderation: Moderation | None
    obfuscation: str | None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None
    system_fingerprint: str | None
    usage: CompletionUsage | None
