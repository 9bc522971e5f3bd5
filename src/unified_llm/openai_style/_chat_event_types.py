"""The events of ``chat.completions.stream``, as OpenAI's SDK has them. ``snapshot`` is what has come so far."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.chat.chat_completion_chunk import ChatCompletionChunk
from unified_llm.openai_style.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob
from unified_llm.openai_style.types.chat.parsed_chat_completion import ParsedChatCompletion


class ChunkEvent(OpenAIObject):
    """A chunk, as it came."""

    type: Literal["chunk"]
    chunk: ChatCompletionChunk
    snapshot: ParsedChatCompletion[Any]


class ContentDeltaEvent(OpenAIObject):
    """The next part of the text; ``parsed`` is what can be read so far of JSON for a class."""

    type: Literal["content.delta"]
    delta: str
    snapshot: str
    parsed: Any


class ContentDoneEvent(OpenAIObject):
    """The whole text, and the object that it is."""

    type: Literal["content.done"]
    content: str
    parsed: Any


class RefusalDeltaEvent(OpenAIObject):
    """The next part of a refusal."""

    type: Literal["refusal.delta"]
    delta: str
    snapshot: str


class RefusalDoneEvent(OpenAIObject):
    """The whole refusal."""

    type: Literal["refusal.done"]
    refusal: str


class FunctionToolCallArgumentsDeltaEvent(OpenAIObject):
    """The next part of a call's arguments."""

    type: Literal["tool_calls.function.arguments.delta"]
    name: str
    index: int
    arguments: str
    parsed_arguments: Any
    arguments_delta: str


class FunctionToolCallArgumentsDoneEvent(OpenAIObject):
    """All arguments of a call."""

    type: Literal["tool_calls.function.arguments.done"]
    name: str
    index: int
    arguments: str
    parsed_arguments: Any


class LogprobsContentDeltaEvent(OpenAIObject):
    """The log probabilities of the next tokens of the text."""

    type: Literal["logprobs.content.delta"]
    content: list[ChatCompletionTokenLogprob]
    snapshot: list[ChatCompletionTokenLogprob]


class LogprobsContentDoneEvent(OpenAIObject):
    """The log probabilities of the whole text."""

    type: Literal["logprobs.content.done"]
    content: list[ChatCompletionTokenLogprob]


class LogprobsRefusalDeltaEvent(OpenAIObject):
    """The log probabilities of the next tokens of a refusal."""

    type: Literal["logprobs.refusal.delta"]
    refusal: list[ChatCompletionTokenLogprob]
    snapshot: list[ChatCompletionTokenLogprob]


class LogprobsRefusalDoneEvent(OpenAIObject):
    """The log probabilities of the whole refusal."""

    type: Literal["logprobs.refusal.done"]
    refusal: list[ChatCompletionTokenLogprob]


ChatCompletionStreamEvent: TypeAlias = (
    ChunkEvent
    | ContentDeltaEvent
    | ContentDoneEvent
    | RefusalDeltaEvent
    | RefusalDoneEvent
    | FunctionToolCallArgumentsDeltaEvent
    | FunctionToolCallArgumentsDoneEvent
    | LogprobsContentDeltaEvent
    | LogprobsContentDoneEvent
    | LogprobsRefusalDeltaEvent
    | LogprobsRefusalDoneEvent
)
